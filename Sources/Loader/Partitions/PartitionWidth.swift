import Time

/// How long the time of a partition is. Its ends are midnights in UTC.
enum PartitionWidth: String, CaseIterable, Sendable {
    case day
    /// From Monday on.
    case week
    case month

    static let minutesOfDay: Int64 = 1440

    /// The minutes of the day, week or month that has this minute.
    func range(of minute: Int64) -> Range<Int64> {
        let day = Timestamp(minute: minute).day
        let (first, end) =
            switch self {
            case .day: (day.number, day.number + 1)
            // 1970-01-01 was a Thursday.
            case .week: (day.number - (day.number + 3) % 7, day.number - (day.number + 3) % 7 + 7)
            case .month: (Self.firstOfMonth(day), Self.firstOfMonth(CalendarDay(number: Self.firstOfMonth(day) + 31)))
            }
        return first * Self.minutesOfDay..<end * Self.minutesOfDay
    }

    /// The end of a partition's name: `20261127`, `w20261123` for the week of that Monday, `202611`, or `older`.
    func suffix(of range: Range<Int64>) -> String {
        guard range.lowerBound != .min else { return "older" }
        let day = Timestamp(minute: range.lowerBound).day.description.filter { $0 != "-" }
        return switch self {
        case .day: day
        case .week: "w" + day
        case .month: String(day.prefix(6))
        }
    }

    private static func firstOfMonth(_ day: CalendarDay) -> Int64 {
        CalendarDay(day.description.prefix(8) + "01")?.number ?? day.number
    }
}
