import Postgres
import Testing

@testable import Loader
@testable import Readings

/// `COPY` leads to the same rows and counts as the INSERT statement, in spite of conflicts, faults and other table
/// shapes (invariants 2, 6 and 8).
@Suite(.enabled(if: Fixture.isAvailable))
struct RowCopyTests {
    /// Enough for two loads by `COPY`.
    private static let count = 3000
    private static let half = 1500

    /// One reading per minute, in records of 500.
    private func fill(_ fixture: Fixture, _ minutes: Range<Int> = 0..<count, power: (Int) -> String = { _ in "1.5" })
        throws
    {
        for first in stride(from: minutes.lowerBound, to: minutes.upperBound, by: 500) {
            let messages = (first..<min(first + 500, minutes.upperBound)).map {
                Fixture.message(minute: $0, power: power($0))
            }
            // Received so late that none of the minutes is in the future.
            try fixture.append(
                "{\"messages\":[\(messages.joined(separator: ","))]}", receivedAt: Fixture.receivedAt + 10 * 86_400_000)
        }
    }

    private func drain(_ fixture: Fixture, _ rows: Int = half) throws -> [Int] {
        let summary = try fixture.drain { $0.statementRows = rows }
        return [summary.inserted, summary.duplicates, summary.conflicts, summary.rejected]
    }

    /// The number of ids without a row. The statement leaves none, a failed `COPY` leaves some.
    private func lostIDs(_ fixture: Fixture, ofOthers others: Int = 0) throws -> Int {
        try fixture.sql("SELECT max(id) - count(*) FROM power_logs").integer(0, 0).map { $0 + others } ?? -1
    }

    private func isExact(_ fixture: Fixture) throws -> Bool {
        var table = ReadingTable(name: try fixture.table)
        table.partition = try PartitionedTable(name: table.name).partitions(on: fixture.connection)?.all.first
        return try RowCopy(rows: RowBuffer(), sorted: [], table: table).isExact(on: fixture.connection)
    }

    @Test(arguments: [
        ("double precision", "timestamptz"), ("real", "timestamp"), ("numeric(5,2)", "timestamptz(0)"),
    ])
    func copyWritesTheSameValuesAsTheStatement(number: String, time: String) throws {
        let powers = [
            "1e-7", "-0.0", "0.1", "123.455", "-123.445", "999.994", "999.996", "1e300", "16777217", "3.4e38",
            "-5e-324",
            "0.30000000000000004",
        ]
        // The first fixture uses loads that are large enough for COPY, the second smaller ones.
        var found: [[String]] = []
        var counts: [[Int]] = []
        for rows in [Self.half, RowCopy.least / 2] {
            let fixture = try Fixture()
            try fixture.sql("ALTER TABLE power_logs ALTER power TYPE \(number), ALTER timestamp TYPE \(time)")
            try fill(fixture) { powers[$0 % powers.count] }
            let zone = Fixture.url + (Fixture.url.contains("?") ? "&" : "?") + "options=-c%20TimeZone%3DAsia%2FKolkata"
            let database = Database(conninfo: zone, table: try fixture.table)
            let summary = try fixture.drain {
                $0.database = database
                $0.statementRows = rows
            }
            counts.append([summary.inserted, summary.duplicates, summary.conflicts, summary.rejected])
            found.append(
                try fixture.rows(
                    """
                    SELECT device_id, channel, power, voltage, current, timestamp, idempotency_key FROM power_logs
                    ORDER BY idempotency_key
                    """))
            #expect(try isExact(fixture) == (number == "double precision"))
            #expect(try fixture.deadLetters().count == summary.rejected)
        }
        #expect(found[0] == found[1] && counts[0] == counts[1])
        #expect(counts[0][0] == found[0].count && counts[0][0] + counts[0][3] == Self.count)
    }

    @Test(arguments: ["timestamptz", "timestamp"]) func copyWritesTheSameTimesBeforeTheServersEpoch(time: String) throws
    {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ALTER timestamp TYPE \(time)")
        let rows = RowBuffer()
        let device = try DeviceID("plug")
        for minute in 0..<2000 {
            let reading = Reading(
                message: 0, device: 0, channel: 0, timestamp: Int64(minute) * 60, power: 1, voltage: nil,
                current: nil)
            rows.append(reading, of: device, record: 1)
        }
        let table = ReadingTable(name: try fixture.table)
        let outcome = try fixture.connection.transaction { try table.insert(rows, on: fixture.connection) }
        #expect(outcome.inserted == 2000)
        #expect(
            try fixture.rows(
                "SELECT extract(epoch FROM min(timestamp))::int, extract(epoch FROM max(timestamp))::int FROM power_logs"
            )
                == ["0 119940"])
        #expect(
            try fixture.count("extract(epoch FROM timestamp) / 60 <> split_part(idempotency_key, '_', 3)::int") == 0)
    }

    @Test func duplicateKeysWithinALoadAreFoundBeforeCopy() throws {
        let fixture = try Fixture()
        try fill(fixture)
        try fixture.append(Fixture.batch(minutes: 7..<8), Fixture.batch(minutes: 8..<9, power: "2"))
        #expect(try drain(fixture, 50_000) == [Self.count, 2, 1, 0])
        #expect(try lostIDs(fixture) == 0)
    }

    /// Each run is a session of its own, as a timer's runs and replays are.
    @Test(arguments: [RowCopy.least, count]) func duplicatesConsumeNoIdsInAnyRun(_ count: Int) throws {
        let fixture = try Fixture()
        try fill(fixture, 0..<count)
        #expect(try drain(fixture, 50_000) == [count, 0, 0, 0])
        let last = "SELECT last_value FROM power_logs_id_seq"
        for _ in 1...3 {
            let replay = Replay(
                selection: try ReadingSelection.parse([]), rules: try RuleChange.parse([]),
                destination: Replay.Destination(
                    connection: try Fixture.connect(), table: ReadingTable(name: try fixture.table)),
                damaged: { _ in })
            let counts = try replay.run(try #require(SegmentFile.named([], in: { fixture.directory }).first))
            #expect((counts.inserted, counts.duplicates) == (0, count))
            #expect(try fixture.rows(last) == ["\(count)"])
            // As after a database was restored that lost only its progress.
            try fixture.sql("DELETE FROM spool_progress")
            #expect(try drain(fixture, 50_000) == [0, count, 0, 0])
            #expect(try fixture.rows(last) == ["\(count)"])
        }
        // One row of another writer anywhere among new ones.
        try fixture.sql(
            "INSERT INTO power_logs (id, device_id, idempotency_key) VALUES (-1, 'x', 'plug_0_\(29_398_333 + 5433)')")
        try fill(fixture, 5000..<6000)
        #expect(try drain(fixture, 50_000) == [999, 1, 1, 0])
        #expect(try fixture.rows(last) == ["\(count + 999)"])
    }

    /// The second load has keys of another writer, and is left to the statement without a loss.
    @Test(arguments: [1500, 2999]) func keysOfAnotherWriterAreFoundInASample(minute: Int) throws {
        let fixture = try Fixture()
        try insertOther(fixture, minute)
        try fill(fixture)
        #expect(try drain(fixture) == [2999, 1, 1, 0])
        #expect(try lostIDs(fixture, ofOthers: 1) == 0)
    }

    /// The second load has a key of another writer that is not in the sample, and so has the third. The statement inserts
    /// the second one after COPY has failed, and the third one because COPY then rests.
    @Test func aKeyOfAnotherWriterIsADuplicateAndPausesCopy() throws {
        let fixture = try Fixture()
        for minute in [1501, 3001] { try insertOther(fixture, minute) }
        try fill(fixture, 0..<6000)
        #expect(try drain(fixture) == [5998, 2, 2, 0])
        // Rows of the load that failed, and none of another one.
        #expect(1...Self.half ~= (try lostIDs(fixture, ofOthers: 2)))
        #expect(try fixture.progress() == ["1 6000 5998 2 0 f"])
    }

    private func insertOther(_ fixture: Fixture, _ minute: Int) throws {
        try fixture.sql(
            "INSERT INTO power_logs (id, device_id, idempotency_key) VALUES (-\(minute), 'x', 'plug_0_\(29_398_333 + minute)')"
        )
    }

    @Test func rowsThatTheTableRefusesAreSetAside() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (power < 1000)")
        #expect(try isExact(fixture))
        try fill(fixture) { $0 % 1000 == 999 ? "1200" : "1" }
        #expect(try drain(fixture) == [2997, 0, 0, 3])
        #expect(try fixture.deadLetters().allSatisfy { $0.contains("23514") })
        #expect(try fixture.progress() == ["1 3000 2997 0 3 f"])
    }

    @Test(arguments: [
        "ALTER TABLE power_logs ALTER device_id TYPE varchar(20)", "ALTER TABLE power_logs ALTER channel TYPE smallint",
        "ALTER TABLE power_logs ENABLE ROW LEVEL SECURITY",
        "CREATE RULE also AS ON INSERT TO power_logs WHERE NEW.power < 0 DO INSTEAD NOTHING",
        """
        CREATE FUNCTION drop() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.power >= 1000 THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER drop BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION drop()
        """,
    ])
    func tablesUnsuitableForCopyUseTheStatement(change: String) throws {
        let fixture = try Fixture()
        #expect(try isExact(fixture))
        try fixture.sql(change)
        #expect(try !isExact(fixture))
        guard !change.contains("RULE") else { return }
        try fill(fixture) { $0 % 1000 == 999 ? "1200" : "1" }
        let rejected = change.contains("TRIGGER") ? 3 : 0
        #expect(try drain(fixture) == [Self.count - rejected, 0, 0, rejected])
        #expect(try fixture.deadLetters().count == rejected)
    }

    @Test func copyLoadsPartitionedTables() throws {
        let fixture = try Fixture(migrated: false)
        let table =
            PartitionTests.byTime + PartitionTests.halves.replacing("MINVALUE", with: "'2025-11-01 00:00:00+00'")
        try fixture.sql(table.replacing("12:30:00", with: "23:00:00").replacing("11-24 00:00", with: "12-24 00:00"))
        try fixture.migrate()
        #expect(try isExact(fixture))
        try fill(fixture)
        #expect(try drain(fixture, 50_000) == [Self.count, 0, 0, 0])
        try fixture.append(Fixture.batch(minutes: 0..<1))
        try fill(fixture, 3000..<5000)
        #expect(try drain(fixture, 50_000) == [2000, 1, 0, 0])
        #expect(try fixture.rows("SELECT count(*), count(DISTINCT idempotency_key) FROM power_logs") == ["5000 5000"])
        // A rule of only one partition.
        try fixture.sql("CREATE RULE also AS ON INSERT TO early DO ALSO NOTHING")
        #expect(try !isExact(fixture))
    }

    @Test func copyPausesLongerAfterEachFailure() {
        var rest = CopyRest()
        #expect(rest.isOver)
        rest.begin(1000)
        #expect(!rest.isOver)
        rest.inserted(7999, areNew: true)
        #expect(!rest.isOver)
        rest.inserted(5000, areNew: false)
        rest.inserted(7999, areNew: true)
        #expect(!rest.isOver)
        rest.inserted(1, areNew: true)
        #expect(rest.isOver)
        rest.begin(1000)
        rest.inserted(15_999, areNew: true)
        #expect(!rest.isOver)
        rest.inserted(1, areNew: true)
        #expect(rest.isOver)
    }
}
