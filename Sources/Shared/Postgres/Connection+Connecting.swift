internal import CLibpq
internal import Glibc

extension Connection {
    /// Connects before `deadline`, and sets the connection to non-blocking mode.
    func connect(
        _ conninfo: String, _ applicationName: String, _ deadline: ContinuousClock.Instant
    ) throws(PostgresError) {
        try Self.check(conninfo)
        let settings = [
            ("dbname", conninfo), ("fallback_application_name", applicationName), ("client_encoding", "UTF8"),
        ].filter { !$0.1.isEmpty }
        handle = Self.withCStrings(settings.map(\.0)) { names in
            Self.withCStrings(settings.map(\.1)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard handle != nil else { throw .unavailable("out of memory") }
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        // libpq has no other way to report the SQLSTATE of a refused connection.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        guard PQstatus(handle) != CONNECTION_BAD else { throw Self.startFailure(lastMessage) }

        var direction = PGRES_POLLING_WRITING
        while direction != PGRES_POLLING_OK {
            guard direction != PGRES_POLLING_FAILED else { throw connectFailure() }
            try wait(for: Int16(direction == PGRES_POLLING_READING ? POLLIN : POLLOUT), deadline, "connecting")
            direction = PQconnectPoll(handle)
        }
        PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
        guard PQsetnonblocking(handle, 1) == 0 else { throw .unavailable(lastMessage) }
    }

    /// Validates a connection string. The error repeats no part of it, because it may contain a password.
    public static func check(_ conninfo: String) throws(PostgresError) {
        // In a URL, a raw `@` or `/` in a password makes libpq parse the rest as host or database, which its messages
        // name.
        if let scheme = conninfo.firstRange(of: "://"), !conninfo[..<scheme.lowerBound].contains("=") {
            let parts = conninfo[scheme.upperBound...].split(separator: "/", maxSplits: 1)
            let path = parts.count == 2 ? parts[1].prefix { $0 != "?" } : ""
            guard (parts.first ?? "").count(where: { $0 == "@" }) <= 1, !path.contains("@") else {
                throw .invalid("DATABASE_URL has a stray '@'; in passwords, write %40 for '@', %2F for '/'")
            }
        }
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(conninfo, &message)
        if let message { PQfreemem(message) }
        guard let options else {
            throw .invalid(
                "DATABASE_URL is malformed; expected postgresql://user@host/database or host=… dbname=…")
        }
        PQconninfoFree(options)
    }

    /// The reason why no connection was made. It is `refused` if the server does not accept the role, the password, the
    /// database or an option, and `unavailable` if it may accept the same connection later.
    private func connectFailure() -> PostgresError {
        let text = PQerrorMessage(handle).map { String(cString: $0) } ?? ""
        let message = ConnectFailure(text, needsPassword: PQconnectionNeedsPassword(handle) == 1)
        guard let state = message.settingsState else { return .unavailable(message.text) }
        return .refused(sqlState: state, message: message.text, detail: nil)
    }

    /// Distinguishes an invalid setting from an unreachable server, by the wording of libpq's messages.
    private static func startFailure(_ message: String) -> PostgresError {
        if message.hasPrefix("definition of service") { return .invalid(message) }
        // These messages repeat the value.
        guard message.hasPrefix("invalid ") else { return .unavailable(message) }
        return .invalid("the database's address has an unusable setting; check port, sslmode and the like")
    }
}
