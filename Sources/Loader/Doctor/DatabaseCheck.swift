import Checkup
import Postgres
import Time

/// Checks that the server is suitable: its version, whether it accepts and keeps writes, its clock, and a pooler in
/// between.
struct DatabaseCheck {
    private let connection: Connection

    /// Since version 12 there is pg_partition_tree(), which each check of the readings' table calls, and since then a new
    /// partition can be made `LIKE … INCLUDING GENERATED` and attached without a lock that blocks readers and writers. The
    /// other statements need version 11 at most: hashtextextended(), sha256().
    private static let oldest = 12
    /// Versions before this one receive no more fixes: those of 14 ended in November 2026
    /// (https://www.postgresql.org/support/versioning/).
    private static let maintained = 15
    private static let clockDifference = 5.0

    init(_ connection: Connection) { self.connection = connection }

    func results() -> [CheckResult] {
        [version, writes, durability, standby, encryption, clock, pooling].compactMap { check in
            do throws(PostgresError) {
                return try check()
            } catch {
                return .fail(
                    "database", "\(error)", do: "check the server's log", isTemporary: error.isTemporary)
            }
        }
    }

    private func version() throws(PostgresError) -> CheckResult? {
        let place = try connection.execute(
            "SELECT current_user, current_database(), current_setting('server_version')")
        let number = connection.serverVersion
        let text = "PostgreSQL \(place[0, 2] ?? "\(number)"), \(place[0, 0] ?? "?") in \(place[0, 1] ?? "?")"
        return Self.result(ofVersion: number / 1_0000, text)
    }

    /// - Parameter version: the major version, 15 for 15.18.
    static func result(ofVersion version: Int, _ text: String) -> CheckResult {
        if version < oldest {
            return .fail("database", "\(text): too old", do: "use PostgreSQL \(oldest) or newer")
        }
        if version < maintained {
            return .warn("database", "\(text): receives no fixes any more", do: "upgrade the server when you can")
        }
        return .ok("database", text)
    }

    private func writes() throws(PostgresError) -> CheckResult? {
        let state = try connection.execute("SELECT pg_is_in_recovery(), current_setting('transaction_read_only')")
        if state[0, 0] == "t" {
            return .fail(
                "writes", "the server is a standby or in recovery: it accepts no writes",
                do: "name the primary in DATABASE_URL, or add target_session_attrs=read-write", isTemporary: true)
        }
        guard state[0, 1] == "off" else {
            return .fail(
                "writes", "sessions of this role or database are read-only (default_transaction_read_only)",
                do: "ALTER ROLE … or ALTER DATABASE … SET default_transaction_read_only = off", isTemporary: true)
        }
        return nil
    }

    private func durability() throws(PostgresError) -> CheckResult? {
        let rows = try connection.execute(
            """
            SELECT name FROM pg_settings
            WHERE setting = 'off' AND name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name
            """)
        guard rows.count > 0 else { return nil }
        let names = (0..<rows.count).map { rows[$0, 0] ?? "" }.joined(separator: ", ")
        return .warn(
            "durability", "the server has \(names) off: a crash may lose rows that count as loaded",
            do: "turn it on; after such a crash, 'shelly-loader verify --database' finds missing readings, 'replay' "
                + "inserts them")
    }

    private func encryption() throws(PostgresError) -> CheckResult? {
        let rows = try connection.execute(
            """
            SELECT inet_client_addr() IS NULL OR inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() = '::1'
                OR inet_client_addr() = inet_server_addr() OR coalesce(ssl, false)
            FROM (SELECT 1) AS one LEFT JOIN pg_stat_ssl ON pid = pg_backend_pid()
            """)
        guard rows.count > 0, rows[0, 0] == "f" else { return nil }
        return .warn(
            "encryption", "the connection to the server crosses a network unencrypted",
            do: "add sslmode=verify-full to DATABASE_URL, and sslrootcert if needed")
    }

    private func clock() throws(PostgresError) -> CheckResult? {
        let before = Double(Timestamp.now.unixMilliseconds) / 1000
        let rows = try connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        let after = Double(Timestamp.now.unixMilliseconds) / 1000
        guard let server = rows[0, 0].flatMap(Double.init) else { return nil }
        let difference = server < before ? server - before : server > after ? server - after : 0
        let text =
            "the server's clock is \(abs(Int(difference.rounded()))) s \(difference < 0 ? "behind" : "ahead of") the loader's"
        guard abs(difference) > Self.clockDifference else { return nil }
        return .warn(
            "server clock", "\(text): statistics of the last 24 hours are off by that",
            do: "synchronize both clocks with systemd-timesyncd or chrony")
    }

    /// A pooler may pool sessions or transactions: the loader leaves nothing in a session.
    private func pooling() throws(PostgresError) -> CheckResult? {
        try connection.isPooled() ? .ok("pooling", "a pooler is in between") : nil
    }

    /// Without its standbys, every COMMIT waits.
    private func standby() throws(PostgresError) -> CheckResult? {
        guard let missing = try SynchronousStandby.missing(on: connection) else { return nil }
        return .fail(
            "standby", "\(missing): no commit can end",
            do: "start the standby, or take its name out of the setting", isTemporary: true)
    }
}
