import Postgres

extension PostgresError {
    /// The same in words that say what it means for us, and what to do where that is known.
    var withRemedy: String {
        if needsMigration { return "\(self); run 'shelly-loader migrate' first" }
        let isAway = isTemporary || isRetryable
        return isAway && !description.hasPrefix("database away") ? "database away: \(self)" : description
    }

    /// A table, a column or the unique index that ON CONFLICT names is not there.
    var needsMigration: Bool { ["42P01", "42703", "42P10"].contains(sqlState) }
}
