import Testing

@testable import Spool

struct SegmentFileNameTests {
    @Test(arguments: [
        ("00000017.spool", 17, false), ("00000016.spool.zst", 16, true), ("00000000.spool", 0, false),
        ("99999999.spool", 99_999_999, false), ("100000000.spool", 100_000_000, false),
        ("100000000.spool.zst", 100_000_000, true), ("9223372036854775807.spool", .max, false),
    ])
    func aSegmentsNameHasItsParts(name: String, number: Int, isCompressed: Bool) throws {
        let parts = try #require(SegmentFileName.parts(of: name))
        #expect(parts == (number, isCompressed))
        #expect(SegmentFileName.number(of: name) == number && SegmentFileName.isCompressed(name) == isCompressed)
        #expect(SegmentFileName.plain(number) + (isCompressed ? ".zst" : "") == name)
    }

    @Test(arguments: [
        "", ".spool", "0000017.spool", "00000017", "00000017.", "00000017.zst", "00000017.spool.",
        "00000017.spool.zst.zst",
        "00000017.spool.zst.part", "00000017.spool.spool", "00000017.SPOOL", "00000017.spoolx", "x00000017.spool",
        " 00000017.spool", "-00000017.spool", "+00000017.spool", "0000001７.spool", "0000 017.spool", "00000017.keys",
        "9223372036854775808.spool", "99999999999999999999.spool.zst", "spool.json", "2026-11-23.ndjson",
        "loaded/00000017.spool",
    ])
    func aForeignNameIsNotASegments(name: String) {
        #expect(SegmentFileName.parts(of: name) == nil)
        #expect(SegmentFileName.number(of: name) == nil)
    }
}
