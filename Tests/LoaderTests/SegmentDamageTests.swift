import Postgres
import Spool
import Testing

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct SegmentDamageTests {
    @Test func aTornTailIsLoadedOnceItIsComplete() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1), Fixture.batch(minutes: 1..<2))
        let whole = try fixture.bytes(1)
        try fixture.overwrite(1, whole.dropLast(20))
        #expect(try fixture.drain().inserted == 1)
        try fixture.overwrite(1, whole)
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.damagedRanges) == (1, 0))
    }

    /// Invariant 7, and the torn tail of a closed segment: cut at every byte of its last record.
    @Test func aSegmentCutAtAnyByteGivesItsWholeRecords() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        let first = try fixture.bytes(1).count
        try fixture.append(Fixture.batch(minutes: 1..<2))
        let whole = try fixture.bytes(1)
        fixture.seal()
        try fixture.append(Fixture.batch(minutes: 2..<3))
        fixture.seal()
        for cut in first..<whole.count {
            try fixture.overwrite(1, whole[..<cut])
            let summary = try fixture.drain()
            #expect((summary.segments, summary.inserted, summary.damagedRanges) == (2, 2, 0), "cut at \(cut)")
            try fixture.sql("DELETE FROM power_logs; DELETE FROM spool_progress")
        }
        try fixture.overwrite(1, whole)
        #expect(try fixture.drain().inserted == 3)
    }

    @Test(arguments: [0, 30, -1])
    func aFlippedByteLosesOneRecordAndIsNamed(place: Int) throws {
        let fixture = try Fixture()
        let second = try fixture.appendThree()
        fixture.seal()
        var bytes = try fixture.bytes(1)
        bytes[place < 0 ? second.upperBound - 10 : second.lowerBound + place] ^= 1
        try fixture.overwrite(1, bytes)
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.damagedRanges, summary.problems) == (2, 1, 0))
        #expect(try fixture.segment(1).isLoaded)

        var said: [String] = []
        let report = VerificationReport { said.append($0) }
        try Verification(directory: fixture.directory).run(report)
        #expect(report.summary.problems == 2)
        let range = "\(try fixture.segment(1).path) bytes \(second.lowerBound) to \(second.upperBound): "
        #expect([range + "checksum mismatch", range + "no record begins here"].contains(said.first))
        #expect(said.last?.hasSuffix("the footer counts 3 records, but there are 2") == true)
    }

    @Test func anUnreadableHeaderDoesNotLoseTheRecords() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<2))
        fixture.seal()
        var bytes = try fixture.bytes(1)
        bytes[3] = 0
        try fixture.overwrite(1, bytes)
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.damagedRanges) == (2, 1))
        #expect(try fixture.rows("SELECT created, finished FROM spool_progress") == [" t"])
        #expect(try fixture.drain().records == 0)
    }

    /// Invariant 4: a power cut may remove records that were loaded before they were durable.
    @Test func aLostTailThatWasLoadedDoesNotStopTheLoader() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        let kept = try fixture.bytes(1)
        try fixture.append(Fixture.batch(minutes: 1..<2))
        _ = try fixture.drain()
        try fixture.overwrite(1, kept)
        #expect(try fixture.drain().problems == 0)
        fixture.seal()
        try fixture.overwrite(1, kept)
        try fixture.append(Fixture.batch(minutes: 2..<3))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.segments, summary.problems) == (1, 1, 0))
    }
}
