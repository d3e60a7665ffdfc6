import Testing

@testable import Ledger

struct MinuteCountsTests {
    @Test func eachMinuteHasItsCount() {
        var counts = MinuteCounts()
        for minute: UInt32 in [29_000_000, 29_000_001, 29_000_001, 28_999_000] { counts.add(1, of: minute) }
        #expect(counts.counts(of: 29_000_000..<29_000_003) == [1, 2, 0])
        #expect(counts.counts(of: 28_999_000..<28_999_001) == [1])
        counts.remove(1, of: 29_000_001)
        #expect(counts.counts(of: 29_000_000..<29_000_003) == [1, 1, 0])
    }

    @Test func bitsAreCountedAsMinutes() {
        var counts = MinuteCounts()
        counts.add(2, of: 0x8000_0005, from: 29_000_000)
        #expect(counts.counts(of: 29_000_000..<29_000_032) == [2, 0, 2] + Array(repeating: 0, count: 28) + [2])
    }

    @Test func minutesOfTwoDaysAreCountedSeparately() {
        // A reading may be a day ahead, and the plot goes a day back.
        var counts = MinuteCounts()
        let present: UInt32 = 29_000_000
        for minute in present - 1439...present + 1440 { counts.add(1, of: minute) }
        #expect(counts.counts(of: Int64(present - 1439)..<Int64(present + 1441)) == Array(repeating: 1, count: 2880))
    }

    @Test func oldMinutesHaveNoCountAndChangeNoOther() {
        var counts = MinuteCounts()
        counts.add(1, of: 29_000_000)
        counts.add(1, of: 29_000_000 - 4096)
        counts.remove(1, of: 29_000_000 - 4096)
        #expect(counts.counts(of: 29_000_000..<29_000_001) == [1])
        #expect(counts.counts(of: 28_995_904..<28_995_905) == [0])
    }
}
