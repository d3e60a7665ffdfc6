import SystemPackage
import Testing
import Time

@testable import Spool

struct RetentionTests {
    /// Segments of 100 bytes, one per hour.
    private let candidates = (1...10 as ClosedRange<Int>).map {
        Retention.Candidate(number: $0, created: Self.hour(Int64($0)), bytes: 100)
    }

    private static func hour(_ number: Int64) -> Timestamp { Timestamp(minute: number * 60) }

    @Test func segmentsCreatedBeforeTheAgeLimitExpire() {
        let retention = Retention(age: .seconds(3 * 3600))
        #expect(retention.expired(candidates, end: Self.hour(10)) == [1, 2, 3, 4, 5, 6])
        #expect(retention.expired(candidates, end: Self.hour(4)).isEmpty)
        #expect(retention.expired([], end: Self.hour(1_000_000)).isEmpty)
    }

    @Test(arguments: [(0, 10), (99, 10), (100, 9), (999, 1), (1000, 0), (5000, 0)])
    func theOldestSegmentsExpireBeyondTheByteLimit(bytes: Int, gone: Int) {
        let retention = Retention(age: .seconds(1_000_000), bytes: bytes)
        #expect(retention.expired(candidates.reversed(), end: Self.hour(10)) == Array(1..<(1 + gone)))
    }

    @Test func ageOrBytesExpireASegment() {
        let retention = Retention(age: .seconds(7 * 3600), bytes: 500)
        #expect(retention.expired(candidates, end: Self.hour(10)) == [1, 2, 3, 4, 5])
        #expect(Retention(age: .seconds(3600), bytes: 500).expired(candidates, end: Self.hour(10)).count == 8)
    }

    /// Segments are removed in the order of their numbers, whatever their times of creation are.
    @Test func aClockThatWasSetBackKeepsTheOrder() {
        var jumped = candidates
        jumped[3] = Retention.Candidate(number: 4, created: Self.hour(1_000_000), bytes: 100)
        let retention = Retention(age: .seconds(3 * 3600))
        #expect(retention.expired(jumped, end: Self.hour(10)) == [1, 2, 3, 4, 5, 6])
        jumped[8] = Retention.Candidate(number: 9, created: Self.hour(1), bytes: 100)
        #expect(retention.expired(jumped, end: Self.hour(10)) == Array(1...9))
    }

    @Test func oneWrongClockRemovesNothing() throws {
        let scratch = Scratch()
        let directory = try SpoolDirectory(creating: scratch.path.appending("spool"))
        let writer = SpoolWriter(directory: directory, newest: 0)
        for number in 1...3 {
            _ = try writer.append([NewRecord(receivedAt: 0, body: [0x7B, 0x7D])])
            writer.seal()
            try directory.moveToLoaded(number)
        }
        let day = Retention(age: .seconds(86_400))
        #expect(try directory.prune(day, now: Self.hour(10_000_000)) { _ in true } == SpoolDirectory.Pruned())
        #expect(try directory.prune(day, now: Self.hour(0)) { _ in true } == SpoolDirectory.Pruned())
        #expect(
            try directory.prune(Retention(age: .seconds(-1)), now: Self.hour(10_000_000)) { _ in true }.segments == [
                1, 2,
            ])
    }
}
