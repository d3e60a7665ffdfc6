import FoundationEssentials

/// Formats and parses points in time for people and JSON, always in UTC.
public enum Moment {
    /// Formatted as `2026-11-23T10:00:00Z`.
    public static func text(unixSeconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(unixSeconds)).formatted(Date.ISO8601FormatStyle())
    }

    /// Formatted as `2026-11-23T10:00:00.250Z`.
    public static func text(unixMilliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(unixMilliseconds) / 1000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// The present in Unix milliseconds.
    public static var now: Int64 { Int64((Date.now.timeIntervalSince1970 * 1000).rounded(.down)) }

    /// Parses a date (midnight UTC), a date and time with `Z` or an offset, or Unix seconds. Returns Unix seconds.
    public static func unixSeconds(_ text: String) -> Int64? {
        // Eight digits are a date without its dashes rather than a day in 1970.
        if let seconds = Int64(text) { return text.utf8.count == 8 ? nil : seconds }
        let day = Date.ISO8601FormatStyle().year().month().day()
        let second = Date.ISO8601FormatStyle()
        let fraction = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        // The style for a date parses the beginning of a longer text and ignores the rest.
        let styles = text.utf8.count == 10 ? [day] : [second, fraction]
        for style in styles {
            guard let date = try? Date(text, strategy: style) else { continue }
            // 2026-02-30 would be parsed as March 2.
            if styles.count == 1, date.formatted(day) != text { return nil }
            return Int64(date.timeIntervalSince1970.rounded(.down))
        }
        return nil
    }
}
