/// What went wrong between us and the database, in one line and without secrets.
public enum PostgresError: Error, CustomStringConvertible, Sendable {
    /// The database cannot be reached, went away or did not answer in time.
    case unavailable(String)
    /// The server answered with an error: its SQLSTATE, message and detail.
    case refused(sqlState: String, message: String, detail: String?)
    /// The connection string or a name cannot be used.
    case invalid(String)

    /// Whether the same may well succeed later, without anybody mending anything: the database is away, shutting down,
    /// recovering, full, out of connections or read-only.
    public var isTemporary: Bool {
        switch self {
        case .unavailable: true
        case .refused(let state, _, _):
            ["08", "53"].contains(String(state.prefix(2)))
                || ["57P01", "57P02", "57P03", "57P05", "25006", "55P03"].contains(state)
        case .invalid: false
        }
    }

    /// Whether the transaction only has to be run again: a serialization failure or a deadlock.
    public var isRetryable: Bool { sqlState == "40001" || sqlState == "40P01" }

    /// The SQLSTATE, when the server answered.
    public var sqlState: String? {
        if case .refused(let state, _, _) = self { state } else { nil }
    }

    public var description: String {
        switch self {
        case .unavailable(let reason): "database away: \(reason)"
        case .refused(let state, let message, let detail):
            "database error \(state): \(message)" + (detail.map { " (\($0))" } ?? "")
        case .invalid(let reason): reason
        }
    }
}
