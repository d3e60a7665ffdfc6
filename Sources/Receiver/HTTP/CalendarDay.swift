import FoundationEssentials

/// A calendar day in UTC.
struct CalendarDay {
    /// Days since 1970-01-01.
    let number: Int64

    /// Parses `2026-11-24`; nil for any other text, for a day that does not exist, and for a day before 1970.
    init?(_ text: String) {
        let style = Date.ISO8601FormatStyle().year().month().day()
        // 2026-02-30 is read as March 2.
        guard text.utf8.count == 10, let date = try? Date(text, strategy: style), date.formatted(style) == text,
            date.timeIntervalSince1970 >= 0
        else { return nil }
        number = Int64(date.timeIntervalSince1970) / 86_400
    }

    /// A minute since 1970 as `2026-11-24T00:33:00+00:00`.
    static func text(minute: Int64) -> String {
        let text = Date(timeIntervalSince1970: Double(minute * 60)).formatted(Date.ISO8601FormatStyle())
        return text.dropLast() + "+00:00"
    }
}
