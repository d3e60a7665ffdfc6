/// A database failure, in one line and without secrets.
public enum PostgresError: Error, CustomStringConvertible, Sendable {
    /// The database is unreachable, disconnected or timed out. An open connection is closed.
    case unavailable(String)
    /// The same failure during COMMIT: the caller must read back whether the transaction was committed.
    case outcomeUnknown(String)
    /// The server returned an error: its SQLSTATE, message, detail and origin.
    case refused(sqlState: String, message: String, detail: String?, origin: Origin = Origin())
    /// An invalid call, name or connection string. Waiting does not fix it.
    case invalid(String)

    /// The objects that an error names, and the place in the server that raised it.
    public struct Origin: Sendable, Equatable {
        /// The constraint, or the index of a unique violation.
        public var constraint: String?
        public var table: String?
        public var column: String?
        /// The function in the server's own source, such as `ExecWithCheckOptions` for a policy.
        public var routine: String?
        /// Whether a function was running, such as a trigger's.
        public var isInFunction = false
        /// Whether RAISE of a function in PL/pgSQL has chosen the SQLSTATE, which then says nothing about the server.
        public var isRaised = false
        /// Whether the start of a connection was refused because of a setting, which a pooler reports with the SQLSTATE
        /// of an outage.
        public var isStart = false

        public init() {}
    }

    /// Whether the same statement may succeed later, without a change to a row or a statement: the database is
    /// unavailable, shutting down, recovering, read-only, full, out of connections, or cancelled the statement.
    public var isTemporary: Bool {
        switch self {
        case .unavailable, .outcomeUnknown: true
        case .invalid: false
        case .refused(_, _, _, let origin) where origin.isStart: false
        case .refused(let state, _, _, let origin) where origin.isRaised && !Self.passedOn.contains(state): false
        case .refused(let state, _, _, _):
            // Connection, insufficient resources, system error (the server's own disk).
            ["08", "53", "58"].contains(state.prefix(2))
                // Cancelled, the four kinds of shutdown or idle timeout, read-only, lock not available.
                || ["57014", "57P01", "57P02", "57P03", "57P05", "25006", "55P03"].contains(state)
        }
    }

    /// Whether it is a client-side fault, which neither waiting nor a change at the server fixes.
    public var isOurs: Bool {
        if case .invalid = self { true } else { false }
    }

    /// Faults of the server that a trigger's own statements meet, and that it may pass on by RAISE: a deadlock, a full disk,
    /// no memory, a lock that is not available, a cancelled statement.
    private static let passedOn: Set = ["40P01", "53100", "53200", "55P03", "57014"]

    /// Whether the transaction can be retried at once: a serialization failure or a deadlock.
    public var isRetryable: Bool {
        guard case .refused(let state, _, _, let origin) = self else { return false }
        return state == "40P01" || state == "40001" && !origin.isRaised
    }

    /// Whether values of the statement are at fault (SQLSTATE class 22), such as a character that the database's encoding
    /// lacks. The same statement with other values may succeed.
    public var isAboutValues: Bool { sqlState?.hasPrefix("22") == true }

    /// The SQLSTATE if the server answered.
    public var sqlState: String? {
        if case .refused(let state, _, _, _) = self { state } else { nil }
    }

    public var description: String {
        switch self {
        case .unavailable(let reason): "database unavailable: \(reason)"
        case .outcomeUnknown(let reason): "database unavailable during COMMIT, whose outcome is unknown: \(reason)"
        case .refused(let state, let message, let detail, _):
            "database error \(state): \(message)" + (detail.map { " (\($0))" } ?? "")
        case .invalid(let reason): reason
        }
    }
    /// The same error with a further part of its message.
    func adding(_ text: String) -> PostgresError {
        switch self {
        case .unavailable(let reason): .unavailable("\(reason); \(text)")
        case .refused(let state, let message, let detail, let origin):
            .refused(sqlState: state, message: "\(message); \(text)", detail: detail, origin: origin)
        case .outcomeUnknown, .invalid: self
        }
    }
}
