import FoundationEssentials
import Spool
import Testing

struct SegmentNumbersTests {
    @Test(arguments: [[], [7], [1, 2, 3], [1, 3, 4, 9], [2, 4, 6, 8, 10, 11]])
    func aSetContainsItsNumbersAndNoOthers(numbers: [Int]) throws {
        let ranges = SegmentNumbers(numbers)
        #expect((0..<13).filter(ranges.contains) == numbers)
        let text = try JSONEncoder().encode(ranges)
        #expect(try JSONDecoder().decode(SegmentNumbers.self, from: text) == ranges)
    }

    @Test func consecutiveNumbersAreOneRange() throws {
        #expect(
            String(decoding: try JSONEncoder().encode(SegmentNumbers([1, 2, 3, 5])), as: UTF8.self) == "[[1,3],[5,5]]")
    }

    @Test(arguments: ["[[1]]", "[[1,2,3]]", "[1,2]", "{}"])
    func otherTextsAreRefused(text: String) {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(SegmentNumbers.self, from: Data(text.utf8)) }
    }
}
