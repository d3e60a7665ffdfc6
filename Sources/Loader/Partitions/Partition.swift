import Time

/// A partition directly below the table.
struct Partition: Equatable, Sendable {
    /// Its name with its schema, quoted for SQL.
    let name: String
    /// Minutes since 1970 of its rows; `.min` and `.max` stand for MINVALUE and MAXVALUE. Nil for the default partition.
    let minutes: Range<Int64>?
    /// Whether `DETACH PARTITION … CONCURRENTLY` has begun and not ended. It then takes no rows.
    var isDetaching = false

    /// Restricts a query to this partition: ` AND "timestamp" >= '…' AND "timestamp" < '…'`. The planner then skips the
    /// others. Empty for the default partition, whose rows can be of any time.
    func condition(on column: String) -> String {
        guard let minutes else { return "" }
        return [(">=", minutes.lowerBound), ("<", minutes.upperBound)].filter { !Self.isUnbounded($0.1) }
            .map { " AND \(column) \($0.0) \(Self.literal($0.1))" }.joined()
    }

    /// A bound as PostgreSQL writes it: `'2026-11-27 00:00:00+00'`, MINVALUE, MAXVALUE. A column without time zone ignores
    /// the zone, and has UTC.
    static func literal(_ minute: Int64) -> String {
        switch minute {
        case .min: "MINVALUE"
        case .max: "MAXVALUE"
        default: "'\(Timestamp(minute: minute).text(.seconds, separator: " "))+00'"
        }
    }

    private static func isUnbounded(_ minute: Int64) -> Bool { minute == .min || minute == .max }
}
