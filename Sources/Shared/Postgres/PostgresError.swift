/// What went wrong between us and the database, in one line and without secrets.
public enum PostgresError: Error, CustomStringConvertible, Sendable {
    /// The database cannot be reached, went away or did not answer in time. The connection, if there was one, is closed.
    case unavailable(String)
    /// The same while COMMIT was on its way: whether the transaction took place has to be read back.
    case outcomeUnknown(String)
    /// The server answered with an error: its SQLSTATE, message and detail.
    case refused(sqlState: String, message: String, detail: String?)
    /// A call, a name or a connection string that cannot be used; waiting does not mend it.
    case invalid(String)

    /// Whether the same may well succeed later, without anybody changing a row or a statement: the database is away,
    /// shutting down, recovering, read-only, full, out of connections, or cancelled the statement.
    public var isTemporary: Bool {
        switch self {
        case .unavailable, .outcomeUnknown: true
        case .invalid: false
        case .refused(let state, _, _):
            // Connection, insufficient resources, system error (the server's own disk).
            ["08", "53", "58"].contains(state.prefix(2))
                // Cancelled, the four ways of going down or being idle, read-only, lock not to be had.
                || ["57014", "57P01", "57P02", "57P03", "57P05", "25006", "55P03"].contains(state)
        }
    }

    /// Whether a fault of ours, which waiting does not mend: not even somebody at the server could.
    public var isOurs: Bool {
        if case .invalid = self { true } else { false }
    }

    /// Whether the transaction only has to be run again, at once: a serialization failure or a deadlock.
    public var isRetryable: Bool { sqlState == "40001" || sqlState == "40P01" }

    /// The SQLSTATE, when the server answered.
    public var sqlState: String? {
        if case .refused(let state, _, _) = self { state } else { nil }
    }

    public var description: String {
        switch self {
        case .unavailable(let reason): "database away: \(reason)"
        case .outcomeUnknown(let reason): "database away during COMMIT, whose outcome is unknown: \(reason)"
        case .refused(let state, let message, let detail):
            "database error \(state): \(message)" + (detail.map { " (\($0))" } ?? "")
        case .invalid(let reason): reason
        }
    }
}
