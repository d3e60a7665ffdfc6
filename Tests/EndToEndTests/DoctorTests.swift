import Foundation
import Testing

/// `shelly-loader doctor` finds each fault, and its fix removes the fault.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct DoctorTests {
    let rig: Rig

    init() throws { rig = try Rig(hasCluster: true) }

    private func makeSpool() throws {
        try rig.startReceiver()
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).status == 200)
        rig.stopReceiver()
    }

    /// The lines that are not ok.
    private func complaints(_ output: Rig.Output) -> [String] {
        output.text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("ok ") }
    }

    private func failure(_ subject: String, _ environment: [String: String] = [:]) throws -> String {
        let output = try rig.load("doctor", environment: environment)
        #expect(output.status == 1, "\(output.text)")
        let lines = complaints(output).filter { $0.hasPrefix("FAIL") }
        #expect(lines.count == 1 && lines.first?.hasPrefix("FAIL  " + subject) == true, "\(output.text)")
        return lines.first ?? ""
    }

    private func expectNoFailure(_ environment: [String: String] = [:]) throws {
        let output = try rig.load("doctor", environment: environment)
        #expect(output.status == 0 && !output.text.contains("FAIL"), "\(output.text)")
    }

    @Test func aHealthyInstallationHasNoFailedCheck() throws {
        try makeSpool()
        try rig.expect(rig.load("drain"), status: 0)
        let output = try rig.load("doctor")
        #expect(output.status == 0, "\(output.text)")
        for subject in [
            "settings", "spool", "spool rights", "receiver", "room", "file system", "sync speed", "clock", "database",
            "table", "table rights", "unique index", "progress", "load",
        ] {
            #expect(output.text.contains("  \(subject) "), "\(subject)")
        }
        let json = try rig.load("doctor", "--json")
        let report = try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any]
        #expect((report?["checks"] as? [Any])?.count == output.text.split(separator: "\n").count)
        #expect(report?["verdict"] as? String != "fail")
    }

    @Test func anUnavailableDatabaseIsTemporaryAndNoSecretIsShown() throws {
        try makeSpool()
        let url = "postgresql://shelly:hunter2secret@127.0.0.1:1/shelly"
        let key = "0123456789abcdefABCDEF0123456789"
        for arguments in [["doctor"], ["doctor", "--json"]] {
            let output = try rig.run(
                Rig.binaries! + "/shelly-loader", arguments,
                environment: [
                    "DATABASE_URL": url, "SPOOL_DIR": rig.spool, "INGEST_API_KEY": key, "READ_API_KEY": "short-hush",
                ])
            #expect(output.status == 75, "\(output.text)")
            for secret in ["hunter2", key, "short-hush"] { #expect(!output.text.contains(secret)) }
        }
        let malformed = try rig.load("doctor", environment: ["DATABASE_URL": "postgresql://shelly:hunter2@a@b/shelly"])
        #expect(malformed.status == 1 && !malformed.text.contains("hunter2"), "\(malformed.text)")
    }

    /// A drain that fails before it loads anything prints its reason and no summary.
    @Test func aDrainThatDidNothingHasNoSummary() throws {
        let missing = try rig.load("drain")
        #expect(missing.status == 1 && missing.text.hasSuffix("there is no spool here (spool.json is missing)\n"))
        try makeSpool()
        let away = ["DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"]
        for arguments in [[], ["--json"], ["--quiet"]] {
            let output = try rig.run(
                Rig.binaries! + "/shelly-loader", ["drain", "--spool", rig.spool] + arguments, environment: away)
            #expect(output.status == 75 && output.text.split(separator: "\n").count == 1, "\(output.text)")
            #expect(output.text.contains("refused (Is the server running"), "\(output.text)")
            #expect(output.text.hasSuffix("?); progress kept\n"), "\(output.text)")
        }
        let loaded = try rig.expect(rig.load("drain"), status: 0)
        #expect(loaded.hasPrefix("1 segment, 1 record, 3 readings: 3 inserted, 0 duplicates (0 with another value"))
        #expect(try rig.expect(rig.load("drain"), status: 0).hasPrefix("0 segments, 0 records, "))
        #expect(try rig.expect(rig.load("drain", "--quiet"), status: 0).isEmpty)
        #expect(try rig.load("status").text.contains("to load       nothing: all records are loaded\n"))
    }

    /// Without DATABASE_URL libpq uses its defaults, which the error names. Doctor and drain name the same fix.
    @Test func aSettingThatIsMissingOrWrongIsNamed() throws {
        try makeSpool()
        // A port without a server, so that the test cannot find one on its machine.
        let unset = ["DATABASE_URL": "", "PGPORT": "1"]
        for command in ["drain", "doctor", "status"] {
            #expect(
                try rig.load(command, environment: unset).text.contains("?); DATABASE_URL is not set"), "\(command)")
        }
        let named = ["DATABASE_URL": "", "PGPORT": "1", "PGHOST": "127.0.0.1"]
        #expect(try !rig.load("drain", environment: named).text.contains("DATABASE_URL is not set"))
        let wrong = ["DATABASE_URL": "postgresql://shelly@127.0.0.1:\(rig.databasePort)/no-such-database"]
        for command in ["drain", "doctor"] {
            let output = try rig.load(command, environment: wrong)
            #expect(
                output.status == 1 && output.text.contains("does not exist; correct DATABASE_URL"), "\(output.text)")
        }
    }

    @Test func faultsOfTheTableAndItsIndexesAreNamed() throws {
        try makeSpool()
        try rig.query("DROP TABLE spool_progress")
        #expect(try failure("progress").contains("shelly-loader migrate"))
        try rig.query("DROP TABLE power_logs")
        #expect(try failure("table").contains("is missing, or not in the search path"))
        #expect(try rig.load("status").text.contains("shelly-loader migrate"))
        try rig.expect(rig.load("migrate"), status: 0)
        try rig.query("DROP TABLE power_logs")
        // The progress table exists, and only the readings' table is missing.
        let status = try rig.load("status").text
        #expect(status.contains("database      reachable, but table \"power_logs\" does not exist"))
        try rig.expect(rig.load("migrate"), status: 0)

        try rig.query("ALTER TABLE power_logs DROP COLUMN voltage")
        #expect(try failure("table").contains("has no voltage"))
        try rig.query("DROP INDEX idx_power_logs_idempotency")
        try rig.expect(rig.load("migrate"), status: 0)
        try rig.query("DROP INDEX idx_power_logs_idempotency")
        #expect(try failure("unique index").contains("there is none on idempotency_key"))
        let name = "INDEX idx_power_logs_idempotency ON power_logs (idempotency_key)"
        for (sql, fault) in [
            ("CREATE UNIQUE \(name) WHERE power > 0", "has the predicate"), ("CREATE \(name)", "is not unique"),
            (
                "CREATE UNIQUE INDEX idx_power_logs_idempotency ON power_logs (idempotency_key, power)",
                "is on more than idempotency_key"
            ),
        ] {
            try rig.query(sql)
            let line = try failure("unique index")
            #expect(line.contains(fault), "\(line)")
            // Follows the fix in the line.
            #expect(line.contains("; DROP INDEX \"idx_power_logs_idempotency\", and run 'shelly-loader migrate'"))
            try rig.query("DROP INDEX \"idx_power_logs_idempotency\"")
            try rig.expect(rig.load("migrate"), status: 0)
            try expectNoFailure()
            try rig.query("DROP INDEX idx_power_logs_idempotency")
        }
        // A unique index without a predicate serves as well.
        try rig.query("CREATE UNIQUE INDEX other ON power_logs (idempotency_key)")
        try expectNoFailure()
        try rig.query("DROP INDEX other; INSERT INTO power_logs (idempotency_key) VALUES ('twice'), ('twice')")
        #expect(throws: (any Error).self) {
            try rig.query(
                "CREATE UNIQUE INDEX CONCURRENTLY idx_power_logs_idempotency ON power_logs (idempotency_key) "
                    + "WHERE idempotency_key IS NOT NULL")
        }
        #expect(try failure("unique index").contains("is invalid"))
        try rig.query("DELETE FROM power_logs")
        try rig.expect(rig.load("migrate"), status: 0)
        try rig.query("DROP INDEX idx_power_logs_timestamp")
        let output = try rig.load("doctor")
        #expect(output.status == 0 && output.text.contains("warn  index "), "\(output.text)")
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "0")
    }

    /// The GRANTs that it prints are exactly the missing rights.
    @Test func theGrantsThatDoctorNamesAreEnough() throws {
        try makeSpool()
        try rig.query("CREATE ROLE meter LOGIN")
        let url = rig.databaseURL.replacingOccurrences(of: "//shelly@", with: "//meter@")
        #expect(url != rig.databaseURL)
        let environment = ["DATABASE_URL": url]
        let output = try rig.load("doctor", environment: environment)
        #expect(output.status == 1)
        for line in complaints(output) where line.hasPrefix("FAIL") {
            let grants = try #require(line.range(of: "as its owner: "), "\(line)")
            try rig.query(String(line[grants.upperBound...]))
        }
        try expectNoFailure(environment)
        try rig.expect(rig.load("drain", environment: environment), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "3")
        try rig.query("REVOKE USAGE ON SEQUENCE power_logs_id_seq FROM meter")
        #expect(try failure("table rights", environment).contains("GRANT USAGE ON SEQUENCE power_logs_id_seq TO meter"))
    }

    @Test func aServerWithoutDurableCommitsOrWritesIsNamed() throws {
        try makeSpool()
        try rig.query("ALTER DATABASE shelly SET synchronous_commit = off")
        var output = try rig.load("doctor")
        #expect(output.status == 0 && output.text.contains("warn  durability      the server has"), "\(output.text)")
        #expect(output.text.contains("synchronous_commit"))
        try rig.query("ALTER DATABASE shelly SET default_transaction_read_only = on")
        output = try rig.load("doctor")
        #expect(output.status == 75 && output.text.contains("FAIL  writes "), "\(output.text)")
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/faketime"), "faketime is not installed"))
    func clocksThatDifferAreNamed() throws {
        try makeSpool()
        let output = try rig.run(
            "/usr/bin/faketime", ["-f", "+600s", Rig.binaries! + "/shelly-loader", "doctor"],
            environment: ["DATABASE_URL": rig.databaseURL, "SPOOL_DIR": rig.spool])
        #expect(output.status == 0 && output.text.contains("warn  server clock "), "\(output.text)")
    }

    /// The rights of root say nothing about the user that the service runs as.
    @Test(.enabled(if: geteuid() == 0, "only root may run a program as another user"))
    func missingRightsOfTheServiceUserAreNamed() throws {
        try makeSpool()
        chmod(rig.directory, 0o755)
        let output = try rig.run(
            "/usr/bin/setpriv",
            ["--reuid=65534", "--regid=65534", "--clear-groups", Rig.binaries! + "/shelly-loader", "doctor"],
            environment: ["DATABASE_URL": rig.databaseURL, "SPOOL_DIR": rig.spool])
        #expect(output.status == 1 && output.text.contains("FAIL  spool "), "\(output.text)")
        chmod(rig.spool, 0o755)
        chmod(rig.spool + "/spool.json", 0o644)
        let inside = try rig.run(
            "/usr/bin/setpriv",
            ["--reuid=65534", "--regid=65534", "--clear-groups", Rig.binaries! + "/shelly-loader", "doctor"],
            environment: ["DATABASE_URL": rig.databaseURL, "SPOOL_DIR": rig.spool])
        #expect(inside.status == 1 && inside.text.contains("FAIL  spool"), "\(inside.text)")
        #expect(inside.text.contains("may not read") && inside.text.contains("chown"), "\(inside.text)")
        try rig.expect(rig.run("/bin/chown", ["-R", "65534", rig.spool]), status: 0)
        let asRoot = try rig.load("doctor")
        #expect(asRoot.text.contains("warn  spool rights    this ran as root"), "\(asRoot.text)")
    }

    @Test(.enabled(if: MountedDisk.obstacle == nil, "no file system can be mounted here"))
    func aFullDiskInMemoryIsNamed() throws {
        let disk = try MountedDisk(.tmpfs, megabytes: 100)
        rig.spool = disk.path + "/spool"
        try makeSpool()
        let output = try rig.load("doctor", environment: ["SPOOL_FILE_SYSTEM": "any"])
        #expect(output.status == 1 && output.text.contains("warn  file system     tmpfs"), "\(output.text)")
        let strict = try rig.load("doctor", environment: ["SPOOL_FILE_SYSTEM": "durable"])
        #expect(strict.text.contains("FAIL  file system     tmpfs"), "\(strict.text)")
        // The disk has no room for a segment above the reserve.
        #expect(output.text.contains("FAIL  room "))
        try rig.expect(rig.run("/bin/dd", ["if=/dev/zero", "of=\(disk.path)/fill", "bs=1M"]), status: 1)
        #expect(try rig.load("doctor").text.contains("FAIL  sync speed "))
        rig.spool = rig.directory + "/spool"
    }

    @Test func deadLettersDamageAndALateLoadAreNamed() throws {
        try rig.startReceiver()
        _ = try rig.post(
            #"{"messages":[{"src":"p","timestamp":\#(Rig.newestMinute * 60),"params":{"switch:0":{"apower":"x"}}}]}"#)
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).status == 200)
        rig.stopReceiver()
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.load("doctor").text.contains("warn  dead letters    1 "))
        let segment = rig.spool + "/loaded/00000001.spool"
        var text = try String(contentsOfFile: segment, encoding: .utf8)
        text = text.replacingOccurrences(of: "plug", with: "plum")
        try text.write(toFile: rig.spool + "/pending/00000002.spool", atomically: false, encoding: .utf8)
        #expect(try failure("damage").contains("shelly-loader verify"))
    }

    /// A second machine loads a copy of the spool: the lock in the database shows it.
    @Test func aLoaderElsewhereIsNamed() throws {
        try makeSpool()
        let copy = rig.directory + "/copy"
        try FileManager.default.copyItem(atPath: rig.spool, toPath: copy)
        try rig.startLoader("drain", "--follow", environment: ["SPOOL_DIR": copy])
        try rig.wait("the loader does not load") { try rig.query("SELECT count(*) FROM power_logs") == "3" }
        #expect(try failure("load").contains("a loader elsewhere"))
        rig.stopLoader()
        try rig.awaitEndOfLoaderSessions()
        try expectNoFailure()
    }

    /// Faults that will stop the loader later, each with the SQL that causes it.
    @Test(arguments: [
        ("SELECT setval('power_logs_id_seq', 2000000000); ALTER TABLE power_logs ALTER id TYPE int", "warn  ids "),
        ("ALTER SEQUENCE power_logs_id_seq MAXVALUE 3; SELECT setval('power_logs_id_seq', 3)", "FAIL  ids "),
        ("ALTER TABLE power_logs ALTER power TYPE numeric(5,2)", "warn  narrow columns "),
        ("ALTER TABLE power_logs ALTER device_id TYPE varchar(20)", "warn  narrow columns "),
        ("ALTER TABLE power_logs ALTER power TYPE int", "warn  rounding "),
        ("ALTER TABLE power_logs SET UNLOGGED", "FAIL  table "),
        ("ALTER TABLE power_logs ALTER timestamp TYPE text", "FAIL  table "),
        (
            """
            CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
            CREATE TRIGGER route BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION route()
            """, "warn  triggers "
        ),
        ("CREATE RULE nothing AS ON INSERT TO power_logs DO INSTEAD NOTHING", "FAIL  rules "),
        ("CREATE RULE few AS ON INSERT TO power_logs WHERE NEW.power < 0 DO INSTEAD NOTHING", "warn  rules "),
    ])
    func faultsThatWillStopTheLoaderAreNamed(sql: String, line: String) throws {
        try makeSpool()
        try expectNoFailure()
        try rig.query(sql)
        let output = try rig.load("doctor")
        #expect(output.status == (line.hasPrefix("FAIL") ? 1 : 0) && output.text.contains(line), "\(output.text)")
    }

    @Test func aStandbyThatIsMissingIsNamed() throws {
        try makeSpool()
        try rig.query("ALTER SYSTEM SET synchronous_standby_names TO 'nobody'")
        try rig.query("SELECT pg_reload_conf()")
        try rig.wait("the setting does not change") { try rig.query("SHOW synchronous_standby_names") == "nobody" }
        let output = try rig.load("doctor")
        #expect(output.status == 75 && output.text.contains("FAIL  standby "), "\(output.text)")
        let migration = try rig.load("migrate")
        #expect(migration.status == 75 && migration.text.contains("no such standby is connected"), "\(migration.text)")
    }

    /// A commit may wait for more standbys than are connected.
    @Test func aStandbyThatIsMissingBesideAnotherIsNamed() throws {
        try makeSpool()
        let pair = try StreamingPair(rig, isSynchronous: true)
        #expect(try !rig.load("doctor").text.contains("FAIL  standby"))
        try rig.query("ALTER SYSTEM SET synchronous_standby_names TO 'ANY 2 (*)'")
        try rig.query("SELECT pg_reload_conf()")
        try rig.wait("the standby does not become one of a quorum") {
            try rig.query("SELECT sync_state FROM pg_stat_replication") == "quorum"
        }
        let output = try rig.load("doctor")
        #expect(output.status == 75 && output.text.contains("only 1 of 2 are connected"), "\(output.text)")
        let migration = try rig.load("migrate")
        #expect(migration.status == 75 && migration.text.contains("only 1 of 2 are connected"), "\(migration.text)")
        withExtendedLifetime(pair) {}
    }
}
