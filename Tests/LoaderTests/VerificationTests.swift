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
        verification.reconciliation = try Reconciliation(try fixture.database, directory: fixture.directory)
        try verification.run(report)
        return report.summary
    }

    /// Invariants 2 and 8.
    @Test func whatIsLoadedIsInTheTableOrRejected() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (power < 1000)")
        try fixture.append(Fixture.batch(minutes: 0..<5), Fixture.batch(Fixture.message("big", power: "1000")))
        fixture.seal()
        _ = try fixture.drain()
        try fixture.append(Fixture.batch(minutes: 5..<7))
        #expect(
            try verify(fixture).database
                == VerificationReport.Database(readings: 6, rejected: 1, missing: 0, notLoadedYet: 2))
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

    @Test func aMissingSegmentIsNoted() throws {
        let fixture = try Fixture()
        for minute in 0..<4 {
            try fixture.append(Fixture.batch(minutes: minute..<(minute + 1)))
            fixture.seal()
        }
        for number in [1, 3] { try SystemDisk().remove(try fixture.segment(number).path) }
        let summary = try verify(fixture)
        #expect(summary.notes == ["segment 00000003 missing: never written or removed"])
        #expect(summary.problems == 0)
    }

    @Test func aGapInTheSequenceIsFound() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        let start = try fixture.bytes(1).count
        try fixture.append(Fixture.batch(minutes: 1..<2))
        let end = try fixture.bytes(1).count
        try fixture.append(Fixture.batch(minutes: 2..<3))
        var bytes = try fixture.bytes(1)
        bytes.removeSubrange(start..<end)
        try fixture.overwrite(1, bytes)
        #expect(
            try verify(fixture).findings.map(\.reason) == ["record 3 follows record 1; what lies between is missing"])
    }

    @Test func aRenamedSegmentIsFound() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        fixture.seal()
        try SystemDisk().rename(try fixture.segment(1).path, to: fixture.directory.pending.appending("00000005.spool"))
        #expect(try verify(fixture).findings.count == 2)
    }

    @Test func aTornTailIsOnlyNoted() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        try fixture.overwrite(1, try fixture.bytes(1).dropLast(3))
        let summary = try verify(fixture)
        #expect((summary.problems, summary.notes.count) == (0, 1))
    }
}
