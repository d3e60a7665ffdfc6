import Testing
import Time

@testable import Loader

struct PartitionListTests {
    private static func minute(_ text: String) -> Int64 {
        switch text {
        case "MIN": .min
        case "MAX": .max
        default: (Timestamp(iso8601: text.contains("T") ? text + ":00Z" : text + "T00:00:00Z")?.unixSeconds ?? -1) / 60
        }
    }

    /// Ranges like `2026-11-27/2026-11-28`, with `MIN` and `MAX`, or `default`.
    private static func list(_ ranges: [String]) -> PartitionList {
        PartitionList(
            ranges.map { text in
                let ends = text.split(separator: "/").map { minute(String($0)) }
                return Partition(name: text, minutes: ends.count == 2 ? ends[0]..<ends[1] : nil)
            })
    }

    @Test(arguments: [
        ("day", "2026-11-27T10:15", "2026-11-27", "2026-11-28", "20261127"),
        ("day", "1970-01-01T00:01", "1970-01-01", "1970-01-02", "19700101"),
        ("week", "2026-11-27T10:15", "2026-11-23", "2026-11-30", "w20261123"),
        ("week", "2026-11-23T00:00", "2026-11-23", "2026-11-30", "w20261123"),
        ("week", "2026-11-29T23:59", "2026-11-23", "2026-11-30", "w20261123"),
        ("month", "2026-11-30T23:59", "2026-11-01", "2026-12-01", "202611"),
        ("month", "2028-02-29T12:00", "2028-02-01", "2028-03-01", "202802"),
        ("month", "2026-12-31T00:00", "2026-12-01", "2027-01-01", "202612"),
    ])
    func aWidthHasTheRangeOfEachMinute(_ width: String, time: String, from: String, to: String, suffix: String) throws {
        let width = try #require(PartitionWidth(rawValue: width))
        let range = width.range(of: Self.minute(time))
        #expect(range == Self.minute(from)..<Self.minute(to))
        #expect(width.suffix(of: range) == suffix)
    }

    @Test(
        arguments: [
            // No partition exists yet.
            ([], "2026-11-27T10:00", "2026-11-27/2026-11-28"),
            // Right after the newest one, and long after it.
            (["2026-11-26/2026-11-27"], "2026-11-27T00:00", "2026-11-27/2026-11-28"),
            (["2026-11-26/2026-11-27"], "2027-11-27T00:00", "2027-11-27/2027-11-28"),
            // A gap that begins and ends within a day.
            (
                ["MIN/2026-11-25T06:00", "2026-11-25T18:00/2026-11-26", "2026-11-26/2026-11-27"], "2026-11-25T07:00",
                "2026-11-25T06:00/2026-11-25T18:00"
            ),
            // Older than all partitions.
            (["2026-11-26/2026-11-27"], "1970-01-01T00:01", "MIN/2026-11-26"),
            // A partition exists.
            (["2026-11-26/2026-11-27"], "2026-11-26T23:59", nil),
            (["MIN/2026-11-27", "2026-11-27/MAX"], "2030-01-01", nil),
            (["2026-11-26/2026-11-27", "default"], "2030-01-01", nil),
            // A new partition has the width of the existing ones.
            (["2026-10-01/2026-11-01"], "2026-11-27", "2026-11-01/2026-12-01"),
            (["2026-11-16/2026-11-23"], "2026-11-27", "2026-11-23/2026-11-30"),
            // The newest one covers only a part of a month.
            (
                ["2026-10-01/2026-11-01", "2026-11-01/2026-11-27T10:00"], "2026-11-27T10:00",
                "2026-11-27T10:00/2026-12-01"
            ),
            // No exact width: midnights of another time zone, half a day, ten days.
            (["2026-11-25T23:00/2026-11-26T23:00"], "2026-11-27T10:00", "2026-11-27/2026-11-28"),
            (["2026-11-26T00:00/2026-11-26T12:00"], "2026-11-26T13:00", "2026-11-26T12:00/2026-11-27"),
            (["2026-10-10/2026-10-20"], "2026-10-20", "2026-10-20/2026-11-01"),
        ] as [([String], String, String?)])
    func aNewPartitionHasTheRangeForItsMinute(_ ranges: [String], time: String, new: String?) {
        let list = Self.list(ranges)
        let range = list.missingRange(for: Self.minute(time), width: list.width)
        #expect(range == new.flatMap { Self.list([$0]).ranges.first?.minutes })
    }

    @Test func aMinuteIsFoundInItsPartition() {
        let list = Self.list(["2026-11-27/MAX", "default", "2026-11-25/2026-11-26"])
        let found = ["2026-11-24T23:59", "2026-11-25", "2026-11-25T23:59", "2026-11-26", "2026-11-27", "2030-01-01"]
            .map { list.all[list.index(of: Self.minute($0)) ?? 9].name }
        #expect(
            found == [
                "default", "2026-11-25/2026-11-26", "2026-11-25/2026-11-26", "default", "2026-11-27/MAX",
                "2026-11-27/MAX",
            ])
    }

    /// Days of November 2026 with rows, and those of them that expire.
    @Test(
        arguments: [
            // Ten full days with a retention of three: the days expire that end at least three days before.
            ("a clock that is right", 3, "2026-11-11T12:00", 1...11, 1...7),
            ("just before the end of a day", 3, "2026-11-11T00:00", 1...11, 1...7),
            ("just after", 3, "2026-11-10T23:59", 1...11, 1...6),
            ("nothing is old enough", 30, "2026-11-11T12:00", 1...11, nil),
            // The clock is a year ahead, and the last rows are of the 11th: three full days stay.
            ("a clock that jumps ahead", 3, "2027-11-11T12:00", 1...11, 1...8),
            ("a clock that is behind", 3, "2025-11-11T12:00", 1...11, nil),
            // Days without rows prove nothing about the time.
            ("an outage", 3, "2026-11-11T12:00", 1...4, 1...1),
            ("one day has rows", 1, "2026-11-11T12:00", 4...4, nil),
            ("two days have rows", 1, "2026-11-11T12:00", 4...5, 1...3),
        ] as [(String, Int, String, ClosedRange<Int>, ClosedRange<Int>?)])
    func rowsExpireWhenNewerRowsCoverTheRetention(
        _ name: String, days: Int, now: String, filled: ClosedRange<Int>, expired: ClosedRange<Int>?
    ) {
        func day(_ number: Int) -> String { "2026-11-" + (number < 10 ? "0" : "") + "\(number)" }
        let list = Self.list((1...15).map { "\(day($0))/\(day($0 + 1))" })
        let found = RowRetention(days: days).expired(list, now: Self.minute(now)) { partition in
            filled.contains { partition.name.hasPrefix(day($0)) }
        }
        #expect(found.map(\.name) == (expired.map(Array.init) ?? []).map { "\(day($0))/\(day($0 + 1))" })
    }

    /// The retention is ten days, and it is the 20th of November 2026.
    @Test(
        arguments: [
            ("dropped", ["2026-11-09/2026-11-10", "2026-11-10/MAX"], "2026-11-08T23:59", true),
            ("there", ["2026-11-08/2026-11-09", "2026-11-09/MAX"], "2026-11-08T23:59", false),
            ("the last minute", ["2026-11-11/MAX"], "2026-11-09T23:59", true),
            ("too new to be dropped", ["2026-11-11/MAX"], "2026-11-10", false),
            ("created again for late readings", ["MIN/2026-11-10", "2026-11-10/MAX"], "2026-11-08", true),
            ("not dropped yet", ["MIN/2026-11-11", "2026-11-11/MAX"], "2026-11-08", false),
            ("perhaps in the default partition", ["2026-11-10/MAX", "default"], "2026-11-08", true),
        ] as [(String, [String], String, Bool)])
    func aRowIsPastTheRetentionIfItsPartitionWasDropped(
        _ name: String, ranges: [String], minute: String, dropped: Bool
    ) {
        let isDropped = RowRetention(days: 10).hasDropped(
            Self.minute(minute), of: Self.list(ranges), now: Self.minute("2026-11-20"))
        #expect(isDropped == dropped)
    }

    @Test func aPartitionWithoutBeginningExpiresAndOneWithoutEndDoesNot() {
        let list = Self.list(["MIN/2026-11-01", "2026-11-01/2026-11-02", "2026-11-02/2026-11-03", "2026-11-03/MAX"])
        let found = RowRetention(days: 1).expired(list, now: Self.minute("2026-12-01")) { _ in true }
        #expect(found.map(\.name) == ["MIN/2026-11-01", "2026-11-01/2026-11-02"])
    }
}
