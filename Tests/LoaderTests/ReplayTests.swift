import Postgres
import Spool
import Testing
import Time

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct ReplayTests {
    private func replay(
        _ fixture: Fixture, _ arguments: [String] = [], dryRun: Bool = false
    ) throws -> [Replay.Counts] {
        let database = try fixture.database
        let destination =
            dryRun
            ? nil : Replay.Destination(connection: try database.connect(), table: ReadingTable(name: database.table))
        let replay = Replay(
            selection: try .parse(arguments), rules: try .parse([]), destination: destination, damaged: { _ in })
        return try SegmentFile.named([], in: { fixture.directory }).map(replay.run)
    }

    @Test func aReplayIsIdempotentAndChangesNoProgress() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<5))
        fixture.seal()
        try fixture.append(Fixture.batch(minutes: 4..<8))
        var counts = try replay(fixture)
        #expect(counts.map(\.inserted) == [5, 3])
        #expect(counts.map(\.duplicates) == [0, 1])
        counts = try replay(fixture)
        #expect(counts.map(\.inserted) == [0, 0])
        #expect(try fixture.progress().isEmpty)
        #expect(try fixture.directory.segments().allSatisfy { !$0.isLoaded })
        #expect(try fixture.drain().duplicates == 9)
    }

    /// Once nearly all rows of a statement existed, a replay looks for existing rows before it inserts. It still
    /// inserts the missing ones.
    @Test func aReplayOfManyDuplicatesInsertsTheMissingRows() throws {
        let fixture = try Fixture()
        for minute in stride(from: 0, to: 200, by: 10) {
            try fixture.append(Fixture.batch(minutes: minute..<(minute + 10)))
        }
        fixture.seal()
        #expect(try fixture.drain { $0.statementRows = 20 }.inserted == 200)
        try fixture.sql("DELETE FROM power_logs WHERE idempotency_key LIKE '%55'; UPDATE power_logs SET voltage = NULL")
        let database = try fixture.database
        let replay = Replay(
            selection: try .parse([]), rules: try .parse([]),
            destination: .init(
                connection: try database.connect(), table: ReadingTable(name: database.table), statementRows: 20),
            damaged: { _ in })
        let counts = try replay.run(try #require(SegmentFile.named([], in: { fixture.directory }).first))
        #expect((counts.inserted, counts.duplicates, counts.conflicts) == (2, 198, 198))
        #expect(try fixture.count() == 200)
    }

    @Test func aDryRunOnlyCounts() throws {
        let fixture = try Fixture(migrated: false)
        try fixture.append(Fixture.batch(minutes: 0..<5))
        #expect(try replay(fixture, dryRun: true).map(\.readings) == [5])
    }

    @Test func fromIsInclusiveAndToExclusive() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<10), Fixture.batch(minutes: 0..<10, device: "lamp"))
        #expect(
            try replay(fixture, ["--from", "2025-11-23T12:15:00Z", "--to", "2025-11-23T12:18:00Z"])[0].inserted == 6)
        #expect(try replay(fixture, ["--device", "lamp"])[0].inserted == 7)
        #expect(try replay(fixture, ["--to", "\(Fixture.start + 1)"])[0].readings == 2)
        #expect(try replay(fixture, ["--from", "2025-11-24"])[0].readings == 0)
        // Fractions of a second before and after a reading at 12:15:00.
        let (before, after) = ("2025-11-23T12:14:59.500Z", "2025-11-23T12:15:00.500Z")
        #expect(try replay(fixture, ["--from", before, "--to", after])[0].readings == 2)
        #expect(try replay(fixture, ["--from", after, "--to", "2025-11-23T12:15:01Z"])[0].readings == 0)
    }

    @Test func refusedRowsAreCountedAndNotSetAsideAgain() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (power < 1000)")
        try fixture.append(Fixture.batch(Fixture.message(power: "1000"), Fixture.message(minute: 1)))
        let counts = try replay(fixture)[0]
        #expect((counts.inserted, counts.rejected) == (1, 1))
        #expect(try fixture.deadLetters().isEmpty)
    }
}
