internal import CLibpq
internal import Glibc

extension Connection {
    /// Detects within seconds that the server's machine is gone, so that a session does not wait for it as long as for
    /// a slow statement. A connection string may have other values. The unit is s, and ms in the last one.
    private static let vigilance = [
        ("keepalives_idle", "3"), ("keepalives_interval", "1"), ("keepalives_count", "3"), ("tcp_user_timeout", "6000"),
    ]

    /// Connects to the first host that accepts, each within `timeout`, and sets the connection to non-blocking mode.
    func connect(
        _ conninfo: String, _ applicationName: String, _ timeout: Duration, _ progress: @escaping () -> Void
    ) throws(PostgresError) {
        try Self.check(conninfo)
        // A later parameter takes precedence.
        let parameters =
            Self.vigilance + [("dbname", conninfo)]
            + [("fallback_application_name", applicationName), ("client_encoding", "UTF8")]
        let connected: OpaquePointer
        do throws(PostgresError) {
            connected = try HostRace(parameters: parameters, timeout: timeout, progress: progress).run()
        } catch {
            let variables = ["PGHOST", "PGHOSTADDR", "PGSERVICE"]
            guard conninfo.isEmpty, variables.allSatisfy({ getenv($0) == nil }) else { throw error }
            // libpq chose the server, its default.
            throw error.adding("DATABASE_URL is not set")
        }
        handle = connected
        PQsetErrorVerbosity(connected, PQERRORS_DEFAULT)
        guard PQsetnonblocking(connected, 1) == 0 else { throw .unavailable(lastMessage) }
    }

    /// Validates a connection string. The error repeats no part of it, because it may contain a password.
    public static func check(_ conninfo: String) throws(PostgresError) { _ = try ConnectionString(conninfo) }
}
