import Postgres

extension PostgresError {
    /// The error as text, with its consequence for the loader, and the fix if that is known.
    var withRemedy: String {
        if needsMigration { return "\(self); run 'shelly-loader migrate' first" }
        let isAway = isTemporary || isRetryable
        return isAway && !description.hasPrefix("database unavailable") ? "database unavailable: \(self)" : description
    }

    /// Whether a table, a column or the unique index for ON CONFLICT is missing.
    var needsMigration: Bool { ["42P01", "42703", "42P10"].contains(sqlState) }
}
