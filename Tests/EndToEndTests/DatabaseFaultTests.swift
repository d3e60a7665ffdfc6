import Foundation
import Postgres
import Testing

/// Faults of a database while a loader works: the exit code and the log line name the fault, and afterwards each
/// reading is in the table exactly once (invariants 2, 6 and 8).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct DatabaseFaultTests {
    let rig: Rig
    /// The last statement of a transaction that writes rows, before COMMIT.
    private static let lastWrite = "UPDATE \"spool_lease\""
    /// The loader's shortest timeout. It may expire at an earlier statement than the one that a test is about.
    private static let impatient = ["LOADER_STATEMENT_SECONDS": "1"]

    init() throws {
        rig = try Rig(hasCluster: true)
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
    }

    private func post(_ device: String, readings: Int = 10) throws {
        #expect(try rig.post(Rig.batch(device, minutes: 0..<readings)).count("inserted") == readings)
    }

    @Test func anOutcomeLostDuringCommitIsReadBack() throws {
        let proxy = try DatabaseProxy(to: rig.databasePort)
        defer { proxy.close() }
        let throughProxy = ["DATABASE_URL": proxy.url].merging(Self.impatient) { $1 }
        let patiently = ["DATABASE_URL": proxy.url]
        var readings = 0
        for effect in DatabaseProxy.Effect.allCases {
            try post("once-\(effect)")
            proxy.arm(effect, at: "COMMIT", behind: Self.lastWrite)
            var reason = ""
            try rig.wait("the loader does not reach COMMIT: \(reason)") {
                reason = try rig.failToDrain(status: 75, effect == .hang ? throughProxy : patiently)
                try rig.awaitEndOfLoaderSessions()
                return !proxy.isArmed
            }
            #expect(reason.contains("unavailable during COMMIT, whose outcome is unknown"))
            #expect(reason.hasSuffix("; progress kept"))
            let rows = try rig.query("SELECT count(*) FROM power_logs WHERE device_id = 'once-\(effect)'")
            switch effect {
            case .cutBefore, .hang: #expect(rows == "0")
            case .cutMeanwhile: break
            case .cutAfter: #expect(rows == "10")
            }
            let again = try rig.expect(rig.load("drain", "--json", environment: patiently), status: 0)
            if effect != .cutMeanwhile { #expect(again.contains("\"inserted\":\(rows == "0" ? 10 : 0),")) }
            #expect(again.contains("\"duplicates\":0,"))
            readings += 10
            try rig.expectExactly(readings: readings, "\(effect)")
        }

        try rig.startLoader("drain", "--follow", environment: throughProxy)
        for effect in DatabaseProxy.Effect.allCases {
            proxy.arm(effect, at: "COMMIT", behind: Self.lastWrite)
            try post("follow-\(effect)")
            readings += 10
            try rig.wait("\(effect): the loader has not caught up") {
                try !proxy.isArmed && rig.query("SELECT count(*) FROM power_logs") == "\(readings)"
            }
        }
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: readings)
        #expect(try rig.query("SELECT sum(duplicates) FROM spool_progress") == "0")
    }

    @Test func aHangingFullOrReadOnlyServerCountsAsUnavailable() throws {
        let proxy = try DatabaseProxy(to: rig.databasePort)
        defer { proxy.close() }
        try post("plug")
        // The server accepts the connection and never answers; or it answers at the start and hangs within a
        // transaction.
        for (statement, words) in [("", "connecting"), (Self.lastWrite, "waiting for an answer")] {
            proxy.arm(.hang, at: statement)
            var reason = ""
            try rig.wait("the loader does not reach '\(statement)': \(reason)") {
                reason = try rig.failToDrain(
                    status: 75, ["DATABASE_URL": proxy.url].merging(Self.impatient) { $1 })
                try rig.awaitEndOfLoaderSessions()
                return !proxy.isArmed
            }
            #expect(reason.contains("timeout while \(words)"))
        }

        var held: [Connection] = []
        let full = #expect(throws: PostgresError.self) {
            while held.count < 1000 { held.append(try rig.connectOnce()) }
        }
        #expect(full?.description.contains("too many clients") == true)
        #expect(try rig.failToDrain(status: 75).contains("too many clients"))
        held = []

        try rig.configure("default_transaction_read_only", "on")
        #expect(try rig.failToDrain(status: 75).contains("database unavailable: database error 25006"))
        // A command that only reads still works.
        #expect(try rig.load("verify", "--database").status == 0)
        try rig.configure("default_transaction_read_only", nil)

        #expect(try rig.query("SELECT count(*) FROM power_logs") == "0")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 10)
    }

    /// A wrong setting ends the loader with exit code 1, so that the service fails visibly, and sets no row aside.
    @Test(arguments: [("nobody", "shelly"), ("shelly", "no-such-database")])
    func aWrongRoleOrDatabaseFailsWithExitCode1(role: String, database: String) throws {
        try post("plug")
        let url = "postgresql://\(role)@127.0.0.1:\(rig.databasePort)/\(database)"
        let reason = try rig.failToDrain(status: 1, ["DATABASE_URL": url])
        #expect(reason.contains("correct DATABASE_URL"), "\(reason)")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 10)
    }

    @Test func aWrongPasswordFailsWithExitCode1() throws {
        try post("plug")
        try rig.query("CREATE ROLE guest LOGIN PASSWORD 'right'")
        try rig.requirePasswords()
        for password in ["", ":wrong"] {
            let url = "postgresql://guest\(password)@127.0.0.1:\(rig.databasePort)/shelly"
            let reason = try rig.failToDrain(status: 1, ["DATABASE_URL": url])
            #expect(reason.contains("password") && !reason.contains("wrong"), "\(reason)")
        }
    }

    /// TLS that the server does not speak, or a certificate that does not hold. A server that is away, or that closes in
    /// the middle of it, is an outage all the same.
    @Test func aWrongSettingOfTLSFailsWithExitCode1() throws {
        try post("plug")
        let root = rig.directory + "/root.crt"
        func environment(_ mode: String, root: String? = nil, port: Int? = nil) -> [String: String] {
            let url = "postgresql://shelly@127.0.0.1:\(port ?? rig.databasePort)/shelly?sslmode=\(mode)"
            return ["DATABASE_URL": url + (root.map { "&sslrootcert=" + $0 } ?? "")]
        }
        for mode in ["require", "verify-full"] {
            let reason = try rig.failToDrain(status: 1, environment(mode, root: root))
            #expect(reason.contains("SSL was required"), "\(reason)")
            #expect(reason.contains("correct DATABASE_URL (sslmode"), "\(reason)")
        }

        // The server's working directory is its data directory.
        for (name, copy) in [("server", root), ("other", root + ".other")] {
            try rig.query(
                """
                COPY (SELECT 1) TO PROGRAM 'openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
                -subj /CN=far -keyout \(name).key -out \(name).crt 2>/dev/null && chmod 600 \(name).key'
                """)
            let certificate = try rig.query("SELECT pg_read_file('\(name).crt')")
            try certificate.write(toFile: copy, atomically: false, encoding: .utf8)
        }
        try rig.configure("ssl", "on")
        for (mode, file, words) in [
            ("verify-ca", root + ".missing", "does not exist"),
            ("verify-ca", root + ".other", "certificate verify failed"),
            ("verify-full", root, "does not match host name"),
        ] {
            let reason = try rig.failToDrain(status: 1, environment(mode, root: file))
            #expect(reason.contains(words) && reason.contains("correct DATABASE_URL (sslmode"), "\(reason)")
        }

        let proxy = try DatabaseProxy(to: rig.databasePort)
        defer { proxy.close() }
        proxy.arm(.cutBefore, at: "")
        _ = try rig.failToDrain(status: 75, environment("verify-ca", root: root, port: proxy.port))
        try rig.stopDatabase()
        _ = try rig.failToDrain(status: 75, environment("verify-ca", root: root))
        try rig.startDatabase()
        try rig.expect(rig.load("drain", environment: environment("verify-ca", root: root)), status: 0)
        try rig.expectExactly(readings: 10)
    }

    /// A first host that never answers delays the connection by a moment; a closed port does not.
    @Test func aSilentHostIsSkipped() throws {
        let silent = try Listener()
        try post("plug")
        let url = "postgresql://shelly@127.0.0.1:\(silent.port),127.0.0.1:\(rig.databasePort)/shelly"
        try rig.expect(
            rig.load("drain", environment: ["DATABASE_URL": url + "?target_session_attrs=read-write"]), status: 0)
        try rig.expectExactly(readings: 10)
        withExtendedLifetime(silent) {}
    }

    /// The same for the addresses of one name: the loader takes the second if the first answers nothing.
    @Test(.enabled(if: HostsFile.obstacle == nil, "no other /etc/hosts can be mounted here"))
    func aSilentAddressIsSkipped() throws {
        let silent = try Listener()
        let server = try DatabaseProxy(to: rig.databasePort, at: 9, port: silent.port)
        defer { server.close() }
        let hosts = try HostsFile("127.0.0.1 db.test\n127.0.0.9 db.test\n", in: rig.directory)
        try post("plug")
        let url = "postgresql://shelly@db.test:\(server.port)/shelly"
        try rig.wait("the second address is not taken") {
            try rig.startLoader("drain", environment: ["DATABASE_URL": url], under: hosts.wrapper)
            let status = rig.awaitLoader()
            let log = try rig.loaderLog
            #expect(status == 0 || log.contains("127.0.0.9"), "\(log)")
            return status == 0
        }
        try rig.expectExactly(readings: 10)
        withExtendedLifetime(silent) {}
    }

    /// The table is repaired on the server while the loader waits.
    @Test func followingResumesAfterTheTableIsRepaired() throws {
        try rig.query("ALTER SEQUENCE power_logs_id_seq MAXVALUE 15")
        try rig.startLoader("drain", "--follow")
        try post("first")
        try rig.wait("no row is loaded") { try rig.query("SELECT count(*) FROM power_logs") == "10" }
        try post("second")
        try rig.wait("the loader logs no such line") {
            try rig.loaderLog.contains("ALTER SEQUENCE power_logs_id_seq AS bigint MAXVALUE")
        }
        try rig.query("ALTER TABLE power_logs ADD CONSTRAINT closed CHECK (false) NOT VALID")
        try rig.query("ALTER SEQUENCE power_logs_id_seq NO MAXVALUE")
        try rig.wait("the loader logs no such line") { try rig.loaderLog.contains("refuses every row") }
        try rig.query("ALTER TABLE power_logs DROP CONSTRAINT closed")
        try rig.wait("the loader does not resume") { try rig.query("SELECT count(*) FROM power_logs") == "20" }
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: 20)
        #expect(try rig.query("SELECT sum(rejected) FROM spool_progress") == "0")
    }

    @Test func faultsThatMigrateRepairsNameItAsTheFix() throws {
        var readings = 0
        for damage in [
            "DROP INDEX idx_power_logs_idempotency", "DROP TABLE spool_progress", "DROP TABLE power_logs",
        ] {
            readings += 10
            try post("plug-\(readings)")
            try rig.query(damage)
            #expect(try rig.failToDrain(status: 1).hasSuffix("; run 'shelly-loader migrate' first"))
            if damage != "DROP TABLE power_logs" {
                // The loader inserts nothing, because it could insert a reading twice.
                #expect(try rig.query("SELECT count(*) FROM power_logs") == "\(readings - 10)")
            }
            try rig.expect(rig.load("migrate"), status: 0)
            try rig.expect(rig.load("drain"), status: 0)
            #expect(
                try rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs")
                    == "\(readings) \(readings)", "\(damage)")
            #expect(try rig.load("verify", "--database").status == 0, "\(damage)")
        }
    }

    @Test func aRestoredOrEmptyDatabaseIsRefilled() throws {
        // Segments with one batch each: some loaded before the backup, some after it, some pending.
        for batch in 0..<5 { try post("before-\(batch)", readings: 50) }
        try rig.expect(rig.load("drain"), status: 0)
        try rig.backUp()
        for batch in 0..<5 { try post("after-\(batch)", readings: 50) }
        try rig.expect(rig.load("drain"), status: 0)
        let loaded = try FileManager.default.contentsOfDirectory(atPath: rig.spool + "/loaded").count
        #expect(loaded >= 5)
        for batch in 0..<5 { try post("pending-\(batch)", readings: 50) }

        try rig.restore()
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "250")
        #expect(try rig.load("verify", "--database").text.contains("500 not loaded yet"))
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 750)
        #expect(try rig.query("SELECT sum(duplicates) FROM spool_progress") == "0")

        try rig.empty()
        #expect(try rig.failToDrain(status: 1).hasSuffix("; run 'shelly-loader migrate' first"))
        try rig.expect(rig.load("migrate"), status: 0)
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 750)
    }

    @Test func theServerReleasesTheLocksOfAFrozenLoader() throws {
        try post("plug")
        for place in ["in a statement", "between statements"] {
            try rig.withDrainInMidTransaction(environment: ["LOADER_STATEMENT_SECONDS": "5"]) { holder in
                try rig.freezeLoader()
                // The loader's statement ends, and the frozen loader does not send the next one.
                if place == "between statements" { holder.close() }
                // Another writer wants a key that the frozen transaction has inserted, and waits for its end.
                try rig.query(
                    """
                    SET lock_timeout TO '500s'; BEGIN;
                    INSERT INTO power_logs (device_id, idempotency_key) VALUES ('other', 'plug_0_\(Rig.newestMinute)');
                    ROLLBACK
                    """)
            }
            rig.signalLoader(SIGCONT)
            #expect(rig.awaitLoader() == 75, "\(place)")
            #expect(try rig.query("SELECT count(*) FROM spool_progress") == "0", "\(place)")
        }
        try rig.awaitEndOfLoaderSessions()
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 10)
    }

    @Test func followingSurvivesEveryFaultAndResumesByItself() throws {
        var readings = 0
        let proxy = try DatabaseProxy(to: rig.databasePort)
        defer { proxy.close() }
        try rig.startLoader(
            "drain", "--follow", environment: ["DATABASE_URL": proxy.url].merging(Self.impatient) { $1 })
        func caughtUp(_ after: String) throws {
            try rig.wait("the loader does not catch up after: \(after)") {
                try rig.query("SELECT count(*) FROM power_logs") == "\(readings)"
            }
        }
        /// Causes a fault, waits until the loader has logged these words, ends the fault, and waits until everything is
        /// loaded.
        func outlives(_ words: String, fault: () throws -> Void, mend: () throws -> Void) throws {
            let said = try rig.loaderLog.count
            try fault()
            readings += 10
            try post("plug-\(readings)")
            try rig.wait("the loader does not log: \(words)") { try rig.loaderLog.dropFirst(said).contains(words) }
            try mend()
            try caughtUp(words)
        }

        readings += 10
        try post("plug")
        try caughtUp("nothing")
        try outlives("25006") {
            try rig.configure("default_transaction_read_only", "on")
        } mend: {
            try rig.configure("default_transaction_read_only", nil)
        }
        try outlives("timeout while waiting for an answer") {
            proxy.arm(.hang, at: Self.lastWrite)
        } mend: {
        }
        // COMMIT waits for a standby that does not exist. Only the locks of that session show the next one that it has
        // not ended.
        try outlives("whose outcome is unknown") {
            try rig.configure("synchronous_standby_names", "nobody")
        } mend: {
            try rig.configure("synchronous_standby_names", nil)
        }
        try outlives("42P10") {
            try rig.query("DROP INDEX idx_power_logs_idempotency")
        } mend: {
            try rig.expect(rig.load("migrate"), status: 0)
        }
        try outlives("42P01") {
            try rig.query("DROP TABLE power_logs")
        } mend: {
            try rig.expect(rig.load("migrate"), status: 0)
        }
        var held: [Connection] = []
        try outlives("too many clients") {
            while let one = try? rig.connectOnce() { held.append(one) }
            let loaders = "FROM pg_stat_activity WHERE application_name = 'shelly-loader'"
            try rig.wait("the loader keeps its connection") {
                // Ends the loader's connection and takes its place, repeatedly, until the loader does not get it back.
                _ = try held[0].execute("SELECT pg_terminate_backend(pid, 60000) " + loaders)
                while let one = try? rig.connectOnce() { held.append(one) }
                return try held[0].execute("SELECT count(*) " + loaders)[0, 0] == "0"
            }
        } mend: {
            held = []
        }
        try outlives("database unavailable") {
            try rig.stopDatabase("fast")
        } mend: {
            try rig.startDatabase()
        }
        try rig.backUp()
        readings += 10
        try post("after the backup")
        try caughtUp("the backup")
        // The rows appear before the end of their pass, and only after a successful pass does the loader log a warning
        // again.
        let mark = try rig.drainMark
        try rig.wait("the loader completes no pass") { try rig.drainMark != mark }
        try outlives("database unavailable") {
            try rig.restore()
        } mend: {
        }
        try outlives("run 'shelly-loader migrate' first") {
            try rig.empty()
        } mend: {
            try rig.expect(rig.load("migrate"), status: 0)
        }
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: readings)
    }
}

extension Rig {
    /// Requires a password of every user except for the superuser.
    fileprivate func requirePasswords() throws {
        let lines = "local all all trust\nhost all shelly 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        try lines.write(toFile: query("SHOW hba_file"), atomically: false, encoding: .utf8)
        try query("SELECT pg_reload_conf()")
        try wait("the server does not read pg_hba.conf") {
            try query("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method LIKE 'scram%'") == "1"
        }
    }

    /// Changes a setting of the server at once; nil resets it.
    fileprivate func configure(_ setting: String, _ value: String?) throws {
        // Not in a transaction, and possible on a read-only server.
        try query("ALTER SYSTEM " + (value.map { "SET \(setting) TO '\($0)'" } ?? "RESET \(setting)"))
        try query("SELECT pg_reload_conf()")
        try wait("\(setting) does not change") {
            let now = try query("SHOW \(setting)")
            return now == (value ?? (setting == "synchronous_standby_names" ? "" : "off"))
        }
    }

    /// The mark of the last successful pass; the loader writes it anew at most every ten seconds.
    fileprivate var drainMark: String {
        get throws { try String(contentsOfFile: spool + "/drained.json", encoding: .utf8) }
    }

    /// Keeps a copy of the present database, as a dump would.
    fileprivate func backUp() throws {
        try wait("the database is in use") {
            // A template must have no connections for a moment. A loader that follows reconnects by itself.
            try query(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'shelly'",
                database: "postgres")
            return (try? query("CREATE DATABASE backup TEMPLATE shelly", database: "postgres")) != nil
        }
    }

    /// Replaces the database with the copy, and ends all its connections.
    fileprivate func restore() throws {
        try query("DROP DATABASE shelly WITH (FORCE)", database: "postgres")
        try query("ALTER DATABASE backup RENAME TO shelly", database: "postgres")
    }

    /// Replaces the database with an empty one.
    fileprivate func empty() throws {
        try query("DROP DATABASE shelly WITH (FORCE)", database: "postgres")
        try query("CREATE DATABASE shelly", database: "postgres")
    }
}
