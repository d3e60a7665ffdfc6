import FoundationEssentials
import Postgres
import Spool
import Testing

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct VerificationTests {
    private func verify(_ fixture: Fixture) throws -> VerificationReport.Summary {
        let report = VerificationReport { _ in }
        var verification = Verification(directory: fixture.directory)
        verification.reconciliation = try Fixture.untilConnected {
            try Reconciliation(try fixture.database, directory: fixture.directory)
        }
        try verification.run(report)
        return report.summary
    }

    /// Invariants 2 and 8.
    @Test func loadedReadingsAreInTheTableOrRejected() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (power < 1000)")
        try fixture.append(Fixture.batch(minutes: 0..<5), Fixture.batch(Fixture.message("big", power: "1000")))
        fixture.seal()
        _ = try fixture.drain()
        try fixture.append(Fixture.batch(minutes: 5..<7))
        #expect(
            try verify(fixture).database
                == VerificationReport.DatabaseCounts(readings: 6, rejected: 1, missing: 0, notLoadedYet: 2))
        #expect(try verify(fixture).problems == 0)
    }

    @Test func missingRowsAreNamed() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<30), Fixture.batch(minutes: 30..<60))
        fixture.seal()
        _ = try fixture.drain()
        try fixture.sql("DELETE FROM power_logs WHERE timestamp >= '2025-11-23 12:42Z'")
        let summary = try verify(fixture)
        #expect((summary.database?.missing, summary.problems, summary.findings.count) == (31, 31, 20))
        #expect(summary.findings[0].record == "00000001:1")
        #expect(summary.findings[1].record == "00000001:2")
    }

    /// Some readings have much older times than the rest, and some rows have other times than their keys.
    @Test(arguments: [0, 1, 20])
    func readingsOfAllTimesAreFoundInTheTable(stragglers: Int) throws {
        let fixture = try Fixture()
        let messages =
            (0..<60).map { Fixture.message(minute: $0) }
            + (0..<stragglers).map { Fixture.message(minute: -700_000 * $0 - 1) }
        try fixture.append(
            Fixture.batch(minutes: 0..<1, device: "first"), "{\"messages\":[\(messages.joined(separator: ","))]}")
        fixture.seal()
        _ = try fixture.drain()
        #expect(try verify(fixture).database == VerificationReport.DatabaseCounts(readings: 61 + stragglers))
        try fixture.sql("UPDATE power_logs SET timestamp = timestamp - interval '2 days' WHERE channel = 0")
        #expect(try verify(fixture).database == VerificationReport.DatabaseCounts(readings: 61 + stragglers))
        try fixture.sql(
            "DELETE FROM power_logs WHERE id IN (SELECT min(id) FROM power_logs) OR timestamp = (SELECT min(timestamp) FROM power_logs)"
        )
        let missing = try verify(fixture).database?.missing
        #expect(missing == 61 + stragglers - (try fixture.count()) && missing ?? 0 > 0)
    }

    /// Four sealed segments of three records each.
    private func fourSegments() throws -> Fixture {
        let fixture = try Fixture()
        for minute in 0..<4 {
            for record in 0..<3 {
                try fixture.append(Fixture.batch(minutes: minute..<(minute + 1), device: "plug-\(record)"))
            }
            fixture.seal()
        }
        return fixture
    }

    /// Invariant 7: missing segments are found, whoever removed them.
    @Test(arguments: [[1], [3], [1, 3], [2, 3]])
    func missingSegmentsAreFound(gone: [Int]) throws {
        let fixture = try fourSegments()
        for number in gone { try SystemDisk().remove(try fixture.segment(number).path) }
        let findings = try verify(fixture).findings.map(\.reason)
        // The segment after a run of missing ones reports only its predecessor.
        let missed = gone.filter { !gone.contains($0 + 1) }
        #expect(findings.count == missed.count)
        for (number, finding) in zip(missed, findings) {
            #expect(finding.hasPrefix("segment 0000000\(number), which it follows, is missing"))
        }
    }

    @Test(arguments: [false, true])
    func aMissingNewestSegmentIsFoundByItsProgressOrTheLoadMark(withDatabase: Bool) throws {
        let fixture = try fourSegments()
        _ = try fixture.drain()
        if withDatabase { try SystemDisk().remove(fixture.path.appending("loaded.json")) }
        try SystemDisk().remove(try fixture.segment(4).path)
        #expect(
            try verify(fixture).findings.map(\.reason) == ["segment 00000004 is missing, but some of it is loaded"]
        )
    }

    @Test func segmentsRemovedByRetentionAreNotReportedAsMissing() throws {
        let fixture = try fourSegments()
        let first = try fixture.bytes(1)
        _ = try fixture.drain { $0.retention.bytes = 0 }
        #expect(
            try verify(fixture) == VerificationReport.Summary(segments: 1, records: 3, database: .init(readings: 3)))
        // If it is put back, it is stale.
        try Data(first).write(to: URL(filePath: fixture.directory.loaded.appending("00000001.spool").string))
        let summary = try verify(fixture)
        #expect(summary.problems == 1 && summary.findings[0].reason.hasPrefix("the retention had removed it"))
        _ = try fixture.drain { $0.retention.bytes = 0 }
        #expect(try verify(fixture).problems == 0)
    }

    @Test func anOlderCopyOfASegmentIsFound() throws {
        let fixture = try fourSegments()
        let whole = try fixture.bytes(2)
        let ends = whole.indices.filter { whole[$0] == UInt8(ascii: "\n") }
        // The header and two records, as before the third one was written.
        try fixture.overwrite(2, whole[...ends[2]])
        #expect(
            try verify(fixture).findings.map(\.reason) == [
                "has 2 records, but had 3 when segment 00000003 was created; its end is missing"
            ])
        try fixture.overwrite(2, whole)
        try fixture.append(Fixture.batch(minutes: 0..<3))
        _ = try fixture.drain()
        let live = try fixture.bytes(5)
        try fixture.overwrite(5, live.prefix(live.count / 2))
        #expect(try verify(fixture).findings.contains { $0.reason.hasSuffix("is it an older copy?") })
    }

    @Test func foreignFilesAreFound() throws {
        let fixture = try fourSegments()
        _ = try fixture.drain()
        for name in ["pending/notes.txt", "loaded/00000002.spool.bak"] {
            try Data("x".utf8).write(to: URL(filePath: fixture.path.appending(name).string))
        }
        try Data(try fixture.bytes(3)).write(
            to: URL(filePath: fixture.directory.pending.appending("00000003.spool").string))
        #expect(try verify(fixture).problems == 3)
    }

    /// Invariant 8: a reading that could not be loaded is in `rejected/`, or it counts as missing.
    @Test func missingDeadLettersAreReported() throws {
        let fixture = try Fixture()
        try fixture.append(
            Fixture.batch(
                Fixture.message(minute: 0), #"{"src":"","timestamp":1,"params":{}}"#,
                Fixture.message(minute: 1, power: #""much""#)), "no batch")
        _ = try fixture.drain()
        #expect(
            try verify(fixture).database
                == VerificationReport.DatabaseCounts(readings: 2, rejected: 1, missing: 0, notLoadedYet: 0))
        for file in try DeadLetters(directory: fixture.directory).files() { try SystemDisk().remove(file) }
        let summary = try verify(fixture)
        #expect((summary.problems, summary.database?.missing) == (3, 3))
        #expect(summary.findings.compactMap(\.record) == ["00000001:1", "00000001:1", "00000001:2"])
    }

    @Test func aGapInTheSequenceIsFound() throws {
        let fixture = try Fixture()
        let second = try fixture.appendThree()
        var bytes = try fixture.bytes(1)
        bytes.removeSubrange(second)
        try fixture.overwrite(1, bytes)
        #expect(
            try verify(fixture).findings.map(\.reason) == ["record 3 follows record 1; those between are missing"])
    }

    @Test func aRenamedSegmentIsFound() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        fixture.seal()
        try SystemDisk().rename(try fixture.segment(1).path, to: fixture.directory.pending.appending("00000005.spool"))
        #expect(try verify(fixture).findings.count == 2)
    }

    @Test func aTornTailIsANoteAndNotAProblem() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        try fixture.overwrite(1, try fixture.bytes(1).dropLast(3))
        let summary = try verify(fixture)
        #expect((summary.problems, summary.notes.count) == (0, 1))
    }
}
