import Foundation
import Postgres

/// A PgBouncer before the rig's server.
final class Pooler {
    /// The folder into which ops/dev/pgbouncer.sh has unpacked PgBouncer.
    static let directory = ProcessInfo.processInfo.environment["SHELLY_TEST_PGBOUNCER"]

    let port: Int
    private let process: Process
    let url: String

    /// - Parameters:
    ///   - mode: `session` or `transaction`.
    ///   - authentication: PgBouncer's `auth_type`. Except for `trust`, the role's password is `right`.
    init(_ mode: String, authentication: String = "trust", before rig: Rig) throws {
        let home = rig.directory + "/pgbouncer-" + mode
        let password = authentication == "trust" ? "" : ":right"
        func url(_ port: Int) -> String { "postgresql://shelly\(password)@127.0.0.1:\(port)/shelly" }
        // PgBouncer refuses to run as root, and another user may not read the checkout.
        try FileManager.default.copyItem(atPath: Self.directory ?? "", toPath: home)
        chmod(rig.directory, 0o755)
        var started: (Process, Int)?
        for _ in 0..<10 where started == nil {
            // Another process may take the port before PgBouncer does.
            let port = try Listener().port
            let process = try Self.start(
                mode, authentication, port: port, home: home, serverPort: rig.databasePort)
            var isListening = false
            try rig.wait("PgBouncer does not listen") {
                let connection = try? Connection(url(port), applicationName: "test", connectTimeout: .seconds(30))
                isListening = (try? connection?.execute("SELECT 1")) != nil
                return isListening || !process.isRunning
            }
            if isListening, process.isRunning { started = (process, port) }
        }
        guard let started else { throw Rig.Failure(description: "PgBouncer ends by itself") }
        (process, port) = started
        self.url = url(port)
    }

    deinit {
        // PgBouncer has inherited a mask that blocks SIGTERM.
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    private static func start(
        _ mode: String, _ authentication: String, port: Int, home: String, serverPort: Int
    ) throws -> Process {
        let users = home + "/users.txt"
        try "\"shelly\" \"right\"\n".write(toFile: users, atomically: false, encoding: .utf8)
        let file = home + "/pgbouncer.ini"
        try """
        [databases]
        shelly = host=127.0.0.1 port=\(serverPort) dbname=shelly user=shelly
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = \(port)
        unix_socket_dir =
        auth_type = \(authentication)
        max_client_conn = 30
        auth_file = \(users)
        pool_mode = \(mode)
        """.write(toFile: file, atomically: false, encoding: .utf8)
        let process = Process()
        let command = [home + "/pgbouncer", "-q", file]
        process.executableURL = URL(fileURLWithPath: geteuid() == 0 ? "/usr/bin/setpriv" : command[0])
        process.arguments =
            geteuid() == 0 ? ["--reuid=65534", "--clear-groups"] + command : Array(command.dropFirst())
        process.environment = ["LD_LIBRARY_PATH": home]
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
