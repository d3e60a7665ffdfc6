import Foundation
import Synchronization
import Testing

/// The procedures of docs/MOVING_IN.md with the real programs: no reading is lost, and none is in the table twice.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct MovingInTests {
    let rig: Rig

    init() throws { rig = try Rig(hasCluster: true) }

    @Test func theFirstVersionsTableIsMigratedWhileItIsWrittenTo() throws {
        try rig.query("DROP TABLE power_logs, spool_progress")
        try rig.createFirstVersionsTable()
        for device in 0..<5 { #expect(try rig.insertAsFirstVersion("old-\(device)", minutes: 0..<100) == 100) }
        try rig.query("INSERT INTO power_logs (device_id, power, timestamp) VALUES ('by-hand', 1, now())")

        // The first version inserts batches while `migrate` prepares its table.
        let isMigrated = Flag()
        let before = Mutex(0)
        rig.concurrently(2) { [rig] client in
            if client == 0 {
                defer { isMigrated.set() }
                let said = try rig.expect(rig.load("migrate"), status: 0)
                #expect(said.contains("created table \"spool_progress\"") && !said.contains("building"))
            } else {
                while !isMigrated.isSet || before.withLock({ $0 }) < 3 {
                    let number = before.withLock {
                        $0 += 1
                        return $0
                    }
                    #expect(try rig.insertAsFirstVersion("meanwhile-\(number)", minutes: 0..<20) == 20)
                }
            }
        }
        let old = 500 + 20 * before.withLock { $0 }

        // The switch: the queue delivers some batches to the old version, some to the new one, and some to both.
        try rig.startReceiver()
        try rig.startLoader("drain", "--follow")
        rig.concurrently(3) { [rig] client in
            for number in 0..<20 {
                switch client {
                case 0: try rig.insertAsFirstVersion("both-\(number)", minutes: 0..<50)
                case 1: #expect(try rig.post(Rig.batch("both-\(number)", minutes: 0..<50)).count("inserted") == 50)
                default: #expect(try rig.post(Rig.batch("new-\(number)", minutes: 0..<50)).count("inserted") == 50)
                }
            }
        }
        // The queue delivers a batch again that the old version answered long ago. The spool does not have its keys,
        // the table does.
        #expect(try rig.post(Rig.batch("old-0", minutes: 0..<100, power: 1)).count("inserted") == 100)
        try rig.wait("the loader has not caught up") {
            try rig.query("SELECT sum(readings) FROM spool_progress") == "2100"
        }
        #expect(rig.stopLoader() == 0)
        let rows = old + 2000
        let counts = "SELECT count(idempotency_key) || ' ' || count(DISTINCT idempotency_key) FROM power_logs"
        #expect(try rig.query(counts) == "\(rows) \(rows)")
        #expect(try rig.query("SELECT count(*) FROM power_logs WHERE device_id = 'old-0' AND power = 8.9") == "100")
        #expect(try rig.query("SELECT count(*) FROM power_logs WHERE idempotency_key IS NULL") == "1")
        #expect(try rig.load("verify", "--database").status == 0)

        // And back: the first version works on the table as before, and counts the new version's rows as duplicates.
        #expect(try rig.insertAsFirstVersion("new-0", minutes: 0..<50) == 0)
        #expect(try rig.insertAsFirstVersion("new-0", minutes: 50..<60) == 10)
    }

    /// Runs the document's statements while the loader follows.
    @Test func aPlainTableBecomesTheFirstPartition() throws {
        try rig.startReceiver()
        try rig.startLoader("drain", "--follow")
        func post(_ device: String, _ minutes: Range<Int>, rows: Int) throws {
            #expect(try rig.post(Rig.batch(device, minutes: minutes)).status == 200)
            try rig.wait("the rows are not loaded") { try rig.query("SELECT count(*) FROM power_logs") == "\(rows)" }
        }
        try post("before", 3000..<3100, rows: 100)
        let blocks = try rig.statements(inSection: "Partition an existing table")
        #expect(blocks.count == 4)
        let convert = {
            try rig.run(blocks[0])
            try rig.run(blocks[1])
            try rig.expect(rig.load("migrate", "--partition", "day"), status: 0)
        }
        try convert()
        try post("converted", 3000..<3100, rows: 200)
        try rig.run(blocks[2])
        try post("back", 3000..<3100, rows: 300)
        try convert()
        // The document's date is at most two days ago. These readings are from today and from the day before yesterday.
        try post("after", 0..<100, rows: 400)
        #expect(try rig.post(Rig.batch("before", minutes: 2950..<3100)).status == 200)
        try post("after", 0..<110, rows: 460)
        #expect(rig.stopLoader() == 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs_before") == "350")
        #expect(
            try rig.query("SELECT count(DISTINCT id) || ' ' || count(DISTINCT idempotency_key) FROM power_logs")
                == "460 460")
        #expect(try rig.query("SELECT relkind::text FROM pg_class WHERE oid = 'power_logs'::regclass") == "p")
        let doctor = try rig.load("doctor")
        #expect(doctor.text.contains("by day") && !doctor.text.contains("FAIL  unique index"), "\(doctor.text)")
        #expect(try rig.load("verify", "--database").status == 0)

        try rig.run(blocks[3])
        try rig.expect(rig.load("migrate"), status: 0)
        #expect(try rig.post(Rig.batch("after", minutes: 0..<120)).status == 200)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(
            try rig.query("SELECT count(DISTINCT id) || ' ' || count(DISTINCT idempotency_key) FROM power_logs")
                == "470 470")
        #expect(try rig.query("SELECT relkind::text FROM pg_class WHERE oid = 'power_logs'::regclass") == "r")
        #expect(
            try rig.query("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^power_'")
                == "power_logs power_logs_id_seq power_logs_pkey")
        #expect(try rig.load("verify", "--database").status == 0)
    }

    @Test(arguments: [Dump.both, .withoutProgress], [false, true])
    func aDatabaseFromADumpIsRefilled(dump: Dump, isPartitioned: Bool) throws {
        if isPartitioned { try rig.partitionEmptyTable("day") }
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        for batch in 0..<5 { try post("before-\(batch)") }
        try rig.expect(rig.load("drain"), status: 0)
        try rig.dump(dump)
        for batch in 0..<5 { try post("after-\(batch)") }
        try rig.expect(rig.load("drain"), status: 0)

        // Ingest continues while there is no database at all.
        try rig.query("DROP DATABASE shelly WITH (FORCE)", database: "postgres")
        for batch in 0..<5 { try post("meanwhile-\(batch)") }
        #expect(try rig.load("drain").status != 0)

        try rig.query("CREATE DATABASE shelly", database: "postgres")
        try rig.restore()
        try rig.expect(rig.load("migrate"), status: 0)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(
            try rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs") == "750 750")
        #expect(try rig.load("verify", "--database").status == 0)
        // With the progress in the dump, the loader loads only the later records again.
        #expect(
            try rig.query("SELECT sum(duplicates) FROM spool_progress") == (dump == .withoutProgress ? "250" : "0"))
        if isPartitioned { #expect(try rig.load("doctor").text.contains(" by day")) }
    }

    /// Restores the rows of a table that was partitioned by day into one that is partitioned by month.
    @Test func rowsAreRestoredIntoOtherPartitions() throws {
        try rig.partitionEmptyTable("day")
        try rig.startReceiver()
        for batch in 0..<3 { try post("before-\(batch)") }
        try rig.expect(rig.load("drain"), status: 0)
        try rig.dump(.rows)
        try post("after")
        try rig.query("DROP DATABASE shelly WITH (FORCE)", database: "postgres")
        try rig.query("CREATE DATABASE shelly", database: "postgres")
        try rig.expect(rig.load("migrate", "--partition", "month"), status: 0)
        try rig.restore()
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "150")
        try rig.expect(rig.load("drain"), status: 0)
        #expect(
            try rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs") == "200 200")
        #expect(try rig.query("SELECT sum(duplicates) FROM spool_progress") == "150")
        #expect(try rig.load("verify", "--database").status == 0)
        #expect(try rig.load("doctor").text.contains(" by month"))
    }

    @Test func rowsRestoredUnderNewerProgressAreRefilledByReplay() throws {
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        try post("before")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.dump(.withoutProgress)
        try post("after")
        try rig.expect(rig.load("drain"), status: 0)

        // The progress stays, so the loader has nothing to load.
        try rig.query("DROP TABLE power_logs")
        try rig.restore()
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "50")
        let verified = try rig.load("verify", "--database")
        #expect(verified.status == 1 && verified.text.contains("50 missing"), "\(verified.text)")

        try rig.expect(rig.load("replay"), status: 0)
        #expect(
            try rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs") == "100 100")
        #expect(try rig.load("verify", "--database").status == 0)
    }

    @Test func aSpoolIsMovedToAnotherMachine() throws {
        let other = try Rig(besideDatabaseOf: rig)
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        for batch in 0..<3 { try post("loaded-\(batch)") }
        try rig.expect(rig.load("drain"), status: 0)
        // The first copy is made while the programs run. The second one adds only the differences.
        try rig.copySpool(to: other)
        for batch in 0..<3 { try post("later-\(batch)") }
        try rig.expect(rig.load("drain"), status: 0)
        for batch in 0..<3 { try post("pending-\(batch)") }
        #expect(rig.stopReceiver() == 0)
        try rig.copySpool(to: other)
        try FileManager.default.moveItem(atPath: rig.spool, toPath: rig.spool + ".moved")

        try other.startReceiver()
        // The new machine's ledger has every key. Its spool has the same identity and continues behind the last
        // segment.
        #expect(try other.post(Rig.batch("loaded-0", minutes: 0..<50)).count("duplicates") == 50)
        let new = try other.post(Rig.batch("new", minutes: 0..<50))
        #expect(new.count("inserted") == 50)
        try other.expect(other.load("drain"), status: 0)
        try other.expectOnlyOnce(rows: 500, duplicates: 50)
        #expect(try rig.query("SELECT count(DISTINCT spool) FROM spool_progress") == "1")
        // The old machine's loader cannot start by mistake, because its spool is no longer there.
        #expect(try rig.load("drain").status == 1)
    }

    @Test func theSegmentsOfARescuedDiskAreReplayed() throws {
        let other = try Rig(besideDatabaseOf: rig)
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        for batch in 0..<3 { try post("loaded-\(batch)") }
        try rig.expect(rig.load("drain"), status: 0)
        for batch in 0..<3 { try post("pending-\(batch)") }
        rig.stopReceiver(SIGKILL)

        // The new machine already runs with a spool of its own.
        try other.startReceiver()
        #expect(try other.post(Rig.batch("new", minutes: 0..<50)).count("inserted") == 50)
        let files = try ["pending", "loaded"].flatMap { folder in
            try FileManager.default.contentsOfDirectory(atPath: "\(rig.spool)/\(folder)").map {
                "\(rig.spool)/\(folder)/\($0)"
            }
        }
        for _ in 0..<2 {
            let replayed = try other.run(
                Rig.binaries! + "/shelly-loader", ["replay"] + files, environment: ["DATABASE_URL": other.databaseURL])
            try other.expect(replayed, status: 0)
        }
        try other.expect(other.load("drain"), status: 0)
        #expect(
            try rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs") == "350 350")
    }

    @Test func twoCopiesOfOneSpoolLoseNoReading() throws {
        // This is not a supported procedure. Still, no reading may be lost if a copy is started while the original
        // runs.
        try rig.startReceiver()
        try post("before")
        let copy = try Rig(besideDatabaseOf: rig)
        try rig.copySpool(to: copy)
        try copy.startReceiver()
        #expect(try copy.post(Rig.batch("copy-1", minutes: 0..<50)).count("inserted") == 50)
        // The copy's loader runs first. For this loader the segment that the original still writes to is finished.
        try copy.expect(copy.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM spool_progress WHERE finished") == "1")

        // The original's loader must not move that segment while the receiver writes to it.
        try rig.startLoader("drain", "--follow", environment: ["LOG_LEVEL": "info"])
        try rig.wait("the loader does not follow") { try rig.loaderLog.contains("following") }
        try post("original-1")
        try rig.wait("the original is not loaded") {
            try rig.query("SELECT count(*) FROM power_logs WHERE device_id = 'original-1'") == "50"
        }
        // The database's lock admits one loader at a time. flock(2) does not cover the copy.
        let refused = try copy.load("drain")
        #expect(refused.status == 1 && refused.text.contains("perhaps from a copy of the spool"), "\(refused.text)")
        #expect(rig.stopLoader() == 0)
        try rig.awaitEndOfLoaderSessions()

        // The loaders run in turn, as two timers would start them.
        for round in 2..<5 {
            #expect(try copy.post(Rig.batch("copy-\(round)", minutes: 0..<50)).count("inserted") == 50)
            try post("original-\(round)")
            try copy.expect(copy.load("drain"), status: 0)
            try rig.awaitEndOfLoaderSessions()
            try rig.expect(rig.load("drain"), status: 0)
            try rig.awaitEndOfLoaderSessions()
        }
        #expect(rig.stopReceiver() == 0 && copy.stopReceiver() == 0)
        try rig.expect(rig.load("drain"), status: 0)
        try rig.awaitEndOfLoaderSessions()
        try copy.expect(copy.load("drain"), status: 0)
        #expect(
            try rig.query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs") == "450 450")
        // `verify` reports that there is another copy.
        let original = try rig.load("verify", "--database").text
        #expect(original.contains("segment 00000002 is missing, but some of it is loaded"), "\(original)")
        #expect(original.contains(" 0 missing; 0 not loaded yet"), "\(original)")
        let other = try copy.load("verify", "--database").text
        #expect(other.contains(" 0 missing; 0 not loaded yet"), "\(other)")
    }

    @Test func twoReceiversTwoSpoolsAndTwoLoadersWriteEachRowOnce() throws {
        let machines = try [rig, Rig(besideDatabaseOf: rig)]
        for machine in machines {
            try machine.startReceiver(["SPOOL_SEGMENT_BYTES": "65536"])
            try machine.startLoader("drain", "--follow")
        }
        let (clients, batches, readings) = (4, 25, 40)
        let isPosted = Flag()
        let posted = Mutex(0)
        // Every batch goes to both receivers at the same time, with its messages in opposite orders and with different
        // values.
        rig.concurrently(2 * clients + 1) { client in
            guard client < 2 * clients else {
                var turn = 0
                while !isPosted.isSet || turn < 6 {
                    let machine = machines[turn % 2]
                    machine.stopLoader(SIGKILL)
                    try machine.startLoader("drain", "--follow")
                    turn += 1
                    if turn == 3 {
                        try machines[0].stopDatabase("immediate")
                        try machines[0].startDatabase()
                    }
                    usleep(150_000)
                }
                return
            }
            defer {
                posted.withLock {
                    $0 += 1
                    if $0 == 2 * clients { isPosted.set() }
                }
            }
            let machine = machines[client % 2]
            for batch in 0..<batches {
                let device = "plug-\(client / 2)-\(batch)"
                let answer = try machine.post(
                    Rig.batch(
                        device, minutes: 0..<readings, power: Double(1 + client % 2),
                        reversed: client.isMultiple(of: 2)))
                #expect(answer.status == 200 && answer.count("inserted") == readings, "\(answer.text)")
            }
        }
        let rows = clients * batches * readings
        for machine in machines {
            machine.stopLoader()
            #expect(machine.stopReceiver() == 0)
        }
        try rig.awaitEndOfLoaderSessions()
        for machine in machines {
            try machine.expect(machine.load("drain"), status: 0)
            #expect(try machine.load("verify", "--database").status == 0)
        }
        try rig.expectOnlyOnce(rows: rows, duplicates: rows)
        #expect(try rig.query("SELECT count(DISTINCT spool) FROM spool_progress") == "2")
        #expect(try rig.query("SELECT sum(conflicts) FROM spool_progress") == "\(rows)")
    }

    private func post(_ device: String) throws {
        #expect(try rig.post(Rig.batch(device, minutes: 0..<50)).count("inserted") == 50)
    }

    /// The tables in a backup.
    enum Dump { case both, withoutProgress, rows }
}

extension Rig {
    /// Creates the table as the FastAPI version's migration left it.
    fileprivate func createFirstVersionsTable() throws {
        try query(
            """
            CREATE TABLE power_logs (id bigserial PRIMARY KEY, device_id text, channel int, power double precision,
                voltage double precision, current double precision, timestamp timestamptz);
            ALTER TABLE power_logs ADD COLUMN IF NOT EXISTS idempotency_key text;
            CREATE UNIQUE INDEX IF NOT EXISTS idx_power_logs_idempotency ON power_logs (idempotency_key)
                WHERE idempotency_key IS NOT NULL;
            CREATE INDEX IF NOT EXISTS idx_power_logs_timestamp ON power_logs (timestamp DESC)
            """)
    }

    /// Inserts a device's readings as the FastAPI version does, one row per statement. Returns the number of new rows.
    @discardableResult
    fileprivate func insertAsFirstVersion(_ device: String, minutes: Range<Int>) throws -> Int {
        var inserted = 0
        for minute in minutes.map({ Rig.newestMinute - $0 }) {
            let new = try query(
                """
                INSERT INTO power_logs (device_id, channel, power, voltage, current, timestamp, idempotency_key)
                VALUES ('\(device)', 0, 8.9, NULL, NULL, to_timestamp(\(minute * 60)), '\(device)_0_\(minute)')
                ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id
                """)
            if !new.isEmpty { inserted += 1 }
        }
        return inserted
    }

    /// The SQL blocks in a section of docs/MOVING_IN.md, with yesterday in place of the document's date.
    fileprivate func statements(inSection title: String) throws -> [String] {
        let file = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/docs/MOVING_IN.md"
        let document = try String(contentsOfFile: file, encoding: .utf8)
        let section = try #require(
            document.components(separatedBy: "\n## \(title)\n").last?.components(separatedBy: "\n## ").first)
        let day = ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: Double(Rig.newestMinute - 1440) * 60))
            .prefix(10)
        var blocks: [String] = [""]
        for line in section.components(separatedBy: "\n") {
            if line.hasPrefix("       ") { blocks[blocks.count - 1] += line + "\n" } else { blocks.append("") }
        }
        return blocks.filter { $0.contains(";") }.map { $0.replacing("2026-11-30", with: day) }
    }

    /// Runs statements one after another, as psql does.
    fileprivate func run(_ statements: String) throws {
        let connection = try connect()
        for statement in statements.components(separatedBy: ";\n") { _ = try connection.execute(statement) }
    }

    private var dumpFile: String { directory + "/shelly.dump" }

    /// Dumps the tables as an administrator's cron job does.
    fileprivate func dump(_ dump: MovingInTests.Dump) throws {
        let tables =
            switch dump {
            case .both: [] as [String]
            case .withoutProgress: ["--table=power_logs*"]
            case .rows: ["--table=power_logs*", "--data-only", "--load-via-partition-root"]
            }
        try expect(
            run("/usr/bin/pg_dump", ["--format=custom", "--file=" + dumpFile] + tables + [databaseURL]), status: 0)
    }

    /// Replaces the table that the rig has created.
    fileprivate func partitionEmptyTable(_ width: String) throws {
        try query("DROP TABLE power_logs")
        try expect(load("migrate", "--partition", width), status: 0)
    }

    fileprivate func restore() throws {
        try expect(run("/usr/bin/pg_restore", ["--exit-on-error", "--dbname=" + databaseURL, dumpFile]), status: 0)
    }

    /// Copies the spool so that the copy equals the original, and no segment is in both folders.
    fileprivate func copySpool(to other: Rig) throws {
        try expect(
            run("/usr/bin/rsync", ["--archive", "--delete", spool + "/", other.spool + "/"]), status: 0)
    }

    /// Expects each row once, and every reading counted (invariants 2 and 8).
    fileprivate func expectOnlyOnce(rows: Int, duplicates: Int) throws {
        #expect(
            try query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs") == "\(rows) \(rows)")
        #expect(
            try query("SELECT sum(readings) || ' ' || sum(inserted) || ' ' || sum(duplicates) FROM spool_progress")
                == "\(rows + duplicates) \(rows) \(duplicates)")
        #expect(try load("verify", "--database").status == 0)
    }
}
