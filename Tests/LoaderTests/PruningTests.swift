import Glibc
import Spool
import Testing
import Time

@testable import Loader

/// Retention: segments that the database has are removed after their time, and no others (invariants 4, 6 and 7).
@Suite(.enabled(if: Fixture.isAvailable))
struct PruningTests {
    let fixture: Fixture

    /// Five segments of one reading each, all of them sealed.
    init() throws {
        fixture = try Fixture()
        for minute in 0..<5 {
            try fixture.append(Fixture.batch(minutes: minute..<(minute + 1)))
            fixture.seal()
        }
    }

    private var numbers: [Int] { get throws { try fixture.directory.segments().map(\.number) } }

    private func drain(keepingBytes bytes: Int) throws {
        #expect(try fixture.drain { $0.retention.bytes = bytes }.problems == 0)
    }

    @Test func aDrainPrunesLoadedSegmentsExceptTheNewest() throws {
        try drain(keepingBytes: 0)
        #expect(try numbers == [5])
        #expect(try fixture.count() == 5)
        // Their progress is removed with them. Otherwise it would grow without limit.
        #expect(try fixture.progress() == ["5 1 1 0 0 t"])
        // The number of a pruned segment is not used again.
        try fixture.append(Fixture.batch(minutes: 5..<6))
        #expect(try numbers == [5, 6])
    }

    @Test func bytesAreKeptUpToTheLimitNewestFirst() throws {
        let bytes = try fixture.bytes(4).count + fixture.bytes(3).count
        try drain(keepingBytes: bytes)
        #expect(try numbers == [3, 4, 5])
        try drain(keepingBytes: bytes - 1)
        #expect(try numbers == [4, 5])
    }

    @Test func segmentsThatTheDatabaseLacksAreNotPruned() throws {
        try drain(keepingBytes: .max)
        #expect(try numbers == [1, 2, 3, 4, 5])
        // As after a restore from a backup: segment 2 is in loaded/ and its progress is not in the database.
        try fixture.sql("DELETE FROM spool_progress WHERE segment = 2")
        try fixture.sql("UPDATE spool_progress SET finished = false WHERE segment = 3")
        let progressTable = ProgressTable(spool: fixture.directory.identity, beside: try fixture.table)
        let pruning = Pruning(
            directory: fixture.directory, retention: Retention(age: .zero, bytes: 0), progressTable: progressTable,
            connection: fixture.connection)
        let progress = try progressTable.read(on: fixture.connection)
        let foretold = try pruning.run(progress, dryRun: true)
        #expect(try numbers == [1, 2, 3, 4, 5])
        let pruned = try pruning.run(progress)
        #expect(pruned == foretold && pruned.segments == [1, 4])
        #expect(try numbers == [2, 3, 5])
    }

    @Test func aDamagedSegmentIsKept() throws {
        var bytes = try fixture.bytes(2)
        bytes[bytes.count / 2] ^= 1
        try fixture.overwrite(2, bytes)
        try drain(keepingBytes: 0)
        #expect(try numbers == [2, 5])
        #expect(try fixture.bytes(2) == bytes)
        // It delays no other segment, and is not loaded again.
        #expect(try fixture.progress().map { $0.prefix(1) } == ["2", "5"])
        #expect(try fixture.directory.inventory().oldest == 5)
        try fixture.append(Fixture.batch(minutes: 5..<6))
        fixture.seal()
        let summary = try fixture.drain { $0.retention.bytes = 0 }
        #expect((summary.records, summary.inserted) == (1, 1))
        #expect(try numbers == [2, 6] && fixture.progress().map { $0.prefix(1) } == ["2", "6"])
    }

    /// A damaged segment keeps the files with a dead letter of it, and no others.
    @Test func aDamagedSegmentKeepsItsDeadLetters() throws {
        var bytes = try fixture.bytes(2)
        bytes[bytes.count / 2] ^= 1
        try fixture.overwrite(2, bytes)
        try drain(keepingBytes: 0)
        let letters = DeadLetters(directory: fixture.directory)
        let now = Timestamp.now
        for (age, segment) in [(5, 1), (4, 2), (3, 22)] as [(Int64, Int)] {
            var line: [UInt8] = []
            DeadLetter(reason: "broken", record: SpoolPosition(segment: segment, sequence: 1), rules: nil)
                .appendLine(to: &line)
            try letters.append(line, now: now - .seconds(age * 86_400))
        }
        #expect(try letters.prune(olderThan: .seconds(86_400)).count == 2)
        #expect(try fixture.deadLetters().map { $0.contains("00000002:1") } == [true])
    }

    @Test func aSegmentThatIsNotLoadedIsKept() throws {
        // As in a spool whose loader has never run.
        let result = try fixture.directory.prune(Retention(age: .zero, bytes: 0), now: .now) { _ in true }
        #expect(result.segments.isEmpty)
        #expect(try numbers == [1, 2, 3, 4, 5])
    }

    @Test func pruneIsACommand() throws {
        try drain(keepingBytes: .max)
        let file = try fixture.envFile()
        let dry = try PruneCommand.parse(["--env-file", file, "--dry-run"])
        try dry.run()
        #expect(try numbers == [1, 2, 3, 4, 5])
        // One loader per spool (invariant 10).
        let lock = try SpoolLock(.loader, of: fixture.path)
        #expect(throws: (any Error).self) { try dry.run() }
        withExtendedLifetime(lock) {}
    }

    /// Dead letters stay as long as a segment that they may refer to.
    @Test func deadLettersArePrunedAfterTheirTimeAndTheirSegments() throws {
        let letters = DeadLetters(directory: fixture.directory)
        let today = Timestamp.now
        func daysAgo(_ days: Int64) -> Timestamp { today - .seconds(days * 86_400) }
        for age in [0, 3, 5] as [Int64] { try letters.append(Array("{}\n".utf8), now: daysAgo(age)) }
        // The segments are from today.
        #expect(try letters.prune(olderThan: .seconds(4 * 86_400), dryRun: true).count == 1)
        #expect(try letters.files().count == 3)
        let segment = try fixture.segment(1)
        let whole = try fixture.bytes(1)
        let created = today.day.description
        let earlier = daysAgo(5).day.description
        let aged = String(decoding: whole, as: UTF8.self).replacing(created, with: earlier)
        try fixture.overwrite(1, aged.utf8)
        #expect(try letters.prune(olderThan: .seconds(4 * 86_400)).isEmpty, "\(segment)")
        try fixture.overwrite(1, whole)
        #expect(try letters.prune(olderThan: .seconds(4 * 86_400)).count == 1)
        #expect(try letters.files().count == 2)
        // Without a limit nothing is removed.
        #expect(try fixture.drain { $0.retention.bytes = 0 }.problems == 0)
        #expect(try letters.files().count == 2)
        #expect(try fixture.drain { $0.deadLetterRetention = .seconds(86_400) }.problems == 0)
        #expect(try letters.files().count == 1)
    }

    /// Invariant 11: the loader stops with its progress kept before dead letters fill the disk or the spool.
    @Test(arguments: [true, false]) func deadLettersAreBounded(byReserve: Bool) throws {
        try fixture.append("no batch", Fixture.batch(minutes: 10..<11))
        fixture.seal()
        let full = try fixture.drain {
            if byReserve { $0.limits.reserveBytes = .max / 2 } else { $0.limits.spoolBytes = 10 }
        }
        #expect((full.inserted, full.problems) == (5, 1))
        #expect(try fixture.deadLetters().isEmpty && fixture.segment(6).isLoaded == false)
        #expect(try fixture.drain().inserted == 1)
        #expect(try fixture.deadLetters().count == 1)
    }
}
