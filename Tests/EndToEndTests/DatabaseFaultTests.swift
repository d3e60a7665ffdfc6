import Foundation
import Postgres
import Testing

/// Everything that a database can do to a loader: the exit code and the line say what happened, and afterwards each
/// reading is there exactly once (invariants 2, 6 and 8).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct DatabaseFaultTests {
    let rig: Rig
    /// The last statement of a transaction that writes rows, before COMMIT.
    private static let lastWrite = "UPDATE \"spool_lease\""
    /// The loader's time-out as short as it can be. It may pass earlier than at the statement that a test is about.
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
            try rig.wait("the loader does not come to COMMIT: \(reason)") {
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

    @Test func aServerThatHangsIsFullOrReadOnlyIsAway() throws {
        let proxy = try DatabaseProxy(to: rig.databasePort)
        defer { proxy.close() }
        try post("plug")
        // It accepts and never answers; it answers the start and hangs in mid-transaction.
        for (statement, words) in [("", "connecting"), (Self.lastWrite, "waiting for an answer")] {
            proxy.arm(.hang, at: statement)
            var reason = ""
            try rig.wait("the loader does not come to '\(statement)': \(reason)") {
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
        // What only reads goes on.
        #expect(try rig.load("verify", "--database").status == 0)
        try rig.configure("default_transaction_read_only", nil)

        #expect(try rig.query("SELECT count(*) FROM power_logs") == "0")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 10)
    }

    /// A wrong setting is exit 1, so that the service fails visibly, and nothing is set aside for it.
    @Test(arguments: [("nobody", "shelly"), ("shelly", "no-such-database")])
    func aWrongRoleOrDatabaseIsNoOutage(role: String, database: String) throws {
        try post("plug")
        let url = "postgresql://\(role)@127.0.0.1:\(rig.databasePort)/\(database)"
        let reason = try rig.failToDrain(status: 1, ["DATABASE_URL": url])
        #expect(reason.contains("correct DATABASE_URL"), "\(reason)")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 10)
    }

    @Test func aWrongPasswordIsNoOutage() throws {
        try post("plug")
        try rig.query("CREATE ROLE guest LOGIN PASSWORD 'right'")
        try rig.requirePasswords()
        for password in ["", ":wrong"] {
            let url = "postgresql://guest\(password)@127.0.0.1:\(rig.databasePort)/shelly"
            let reason = try rig.failToDrain(status: 1, ["DATABASE_URL": url])
            #expect(reason.contains("password") && !reason.contains("wrong"), "\(reason)")
        }
    }

    /// A first host that answers nothing at all delays the others by a moment, and a closed one does not.
    @Test func aSilentHostIsPassedOver() throws {
        let silent = try Listener()
        try post("plug")
        let url = "postgresql://shelly@127.0.0.1:\(silent.port),127.0.0.1:\(rig.databasePort)/shelly"
        try rig.expect(
            rig.load("drain", environment: ["DATABASE_URL": url + "?target_session_attrs=read-write"]), status: 0)
        try rig.expectExactly(readings: 10)
        withExtendedLifetime(silent) {}
    }

    /// The table's fault is mended at the server while the loader waits.
    @Test func followingWaitsForATableToBeMended() throws {
        try rig.query("ALTER SEQUENCE power_logs_id_seq MAXVALUE 15")
        try rig.startLoader("drain", "--follow")
        try post("first")
        try rig.wait("nothing is loaded") { try rig.query("SELECT count(*) FROM power_logs") == "10" }
        try post("second")
        try rig.wait("no complaint") { try rig.loaderLog.contains("make the sequence and its column larger") }
        try rig.query("ALTER TABLE power_logs ADD CONSTRAINT closed CHECK (false) NOT VALID")
        try rig.query("ALTER SEQUENCE power_logs_id_seq NO MAXVALUE")
        try rig.wait("no complaint") { try rig.loaderLog.contains("refuses every row") }
        try rig.query("ALTER TABLE power_logs DROP CONSTRAINT closed")
        try rig.wait("it does not go on") { try rig.query("SELECT count(*) FROM power_logs") == "20" }
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: 20)
        #expect(try rig.query("SELECT sum(rejected) FROM spool_progress") == "0")
    }

    @Test func faultsThatMigrateMendsNameItAsTheFix() throws {
        var readings = 0
        for damage in [
            "DROP INDEX idx_power_logs_idempotency", "DROP TABLE spool_progress", "DROP TABLE power_logs",
        ] {
            readings += 10
            try post("plug-\(readings)")
            try rig.query(damage)
            #expect(try rig.failToDrain(status: 1).hasSuffix("; run 'shelly-loader migrate' first"))
            if damage != "DROP TABLE power_logs" {
                // Rather nothing than something twice.
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

    @Test func aDatabaseFromABackupOrAnEmptyOneFillsItself() throws {
        // Segments of a batch each: some loaded before the backup, some after it, some pending.
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

    @Test func aFrozenLoaderDoesNotHoldItsLocksForEver() throws {
        try post("plug")
        for place in ["in a statement", "between statements"] {
            try rig.withDrainInMidTransaction(environment: ["LOADER_STATEMENT_SECONDS": "5"]) { holder in
                try rig.freezeLoader()
                // Its statement comes to its end, and it does not send the next one.
                if place == "between statements" { holder.close() }
                // Another writer wants a key that the frozen transaction has inserted, and has to wait for its end.
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

    @Test func followingOutlivesEveryFaultAndGoesOnByItself() throws {
        var readings = 0
        let proxy = try DatabaseProxy(to: rig.databasePort)
        defer { proxy.close() }
        try rig.startLoader(
            "drain", "--follow", environment: ["DATABASE_URL": proxy.url].merging(Self.impatient) { $1 })
        func caughtUp(_ after: String) throws {
            try rig.wait("not caught up after: \(after)") {
                try rig.query("SELECT count(*) FROM power_logs") == "\(readings)"
            }
        }
        /// Lets the loader run into a fault, waits until it has complained in these words, mends the fault and waits
        /// until all is loaded.
        func outlives(_ words: String, fault: () throws -> Void, mend: () throws -> Void) throws {
            let said = try rig.loaderLog.count
            try fault()
            readings += 10
            try post("plug-\(readings)")
            try rig.wait("no complaint: \(words)") { try rig.loaderLog.dropFirst(said).contains(words) }
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
        // COMMIT waits for a standby that does not come. Only its locks tell the next session that it has not ended.
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
            try rig.wait("the loader keeps its place") {
                // Its own connection ends, and its place is taken, before it comes back or again when it has come.
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
        // The rows come before the end of their pass. Only after a pass that has succeeded does the loader repeat a warning.
        let mark = try rig.drainMark
        try rig.wait("no pass ends") { try rig.drainMark != mark }
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
    /// Lets nobody but the superuser in without a password.
    fileprivate func requirePasswords() throws {
        let lines = "local all all trust\nhost all shelly 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        try lines.write(toFile: query("SHOW hba_file"), atomically: false, encoding: .utf8)
        try query("SELECT pg_reload_conf()")
        try wait("pg_hba.conf is not read") {
            try query("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method LIKE 'scram%'") == "1"
        }
    }

    /// Changes a setting of the server for everyone, at once; nil sets it back.
    fileprivate func configure(_ setting: String, _ value: String?) throws {
        // Not in a transaction, and possible on a read-only server.
        try query("ALTER SYSTEM " + (value.map { "SET \(setting) TO '\($0)'" } ?? "RESET \(setting)"))
        try query("SELECT pg_reload_conf()")
        try wait("\(setting) does not change") {
            let now = try query("SHOW \(setting)")
            return now == (value ?? (setting == "synchronous_standby_names" ? "" : "off"))
        }
    }

    /// What the last pass that succeeded has left, or one of the last ten seconds.
    fileprivate var drainMark: String {
        get throws { try String(contentsOfFile: spool + "/drained.json", encoding: .utf8) }
    }

    /// Keeps a copy of the database as it is now, as a dump would.
    fileprivate func backUp() throws {
        try wait("the database is in use") {
            // The template must be nobody's for a moment; a loader that follows comes back by itself.
            try query(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'shelly'",
                database: "postgres")
            return (try? query("CREATE DATABASE backup TEMPLATE shelly", database: "postgres")) != nil
        }
    }

    /// Puts the copy in the database's place, whoever is at work there.
    fileprivate func restore() throws {
        try query("DROP DATABASE shelly WITH (FORCE)", database: "postgres")
        try query("ALTER DATABASE backup RENAME TO shelly", database: "postgres")
    }

    /// Puts an empty database in the database's place.
    fileprivate func empty() throws {
        try query("DROP DATABASE shelly WITH (FORCE)", database: "postgres")
        try query("CREATE DATABASE shelly", database: "postgres")
    }
}
