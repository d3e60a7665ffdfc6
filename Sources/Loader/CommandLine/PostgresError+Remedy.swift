import Postgres

extension PostgresError {
    /// The error as text, with its consequence for the loader, and the remedy if that is known.
    var withRemedy: String {
        if let remedy { return "\(self); \(remedy)" }
        let isAway = isTemporary || isRetryable
        return isAway && !description.hasPrefix("database unavailable") ? "database unavailable: \(self)" : description
    }

    /// Whether a table, a column or the unique index for ON CONFLICT is missing.
    var needsMigration: Bool { ["42P01", "42703", "42P10"].contains(sqlState) && !isInFunction }

    /// The remedy for a fault of the table or of a setting, if it is known.
    var remedy: String? {
        if needsMigration { return "run 'shelly-loader migrate' first" }
        switch faultKind {
        case .setting where sqlState == "08001":
            return "correct DATABASE_URL (sslmode, sslrootcert and the like), or the server's certificate"
        case .setting: return "correct DATABASE_URL or the password (PGPASSFILE), or the server's roles and pg_hba.conf"
        case .table: break
        case .row where isInFunction: return "correct the table's trigger, or the readings that it refuses"
        case .row, .server, nil: return nil
        }
        switch sqlState {
        case "2200H": return "give the sequence and its column more numbers; 'shelly-loader doctor' names them"
        case "23502": return "drop NOT NULL of the column, or give it a default"
        case "23505": return "if a sequence makes this value, it is behind the table's rows: move it with setval"
        case "23514": return "create the partition"
        case "42501": return "'shelly-loader doctor' names the missing rights"
        default: return nil
        }
    }

    private var isInFunction: Bool {
        if case .refused(_, _, _, let origin) = self { origin.isInFunction } else { false }
    }
}
