import Readings
import Testing
import Time

@testable import Ledger
@testable import Receiver

struct DeviceSnapshotTests {
    /// Devices report if their minute is 3 or later. The last message of each is from the minute of its reading.
    private let silence = SilenceRule(afterSeconds: 0, now: Timestamp(minute: 3))

    private func snapshot(_ devices: KeyValuePairs<String, Int64>) throws -> DeviceSnapshot {
        DeviceSnapshot(
            try devices.enumerated().map {
                MinuteLedger.LastSeen(
                    number: $0, device: try Readings.DeviceID($1.key),
                    last: LastMessage(time: $1.value * 60, missing: nil), lastMinute: $1.value)
            }, silence)
    }

    private func snapshot(_ names: [String]) throws -> DeviceSnapshot {
        DeviceSnapshot(
            try names.enumerated().map {
                MinuteLedger.LastSeen(
                    number: $0, device: try Readings.DeviceID($1), last: LastMessage(time: 0, missing: nil),
                    lastMinute: 0)
            }, silence)
    }

    private func names(_ matches: DeviceSnapshot.Matches) -> [String] { matches.devices.map(\.id.description) }

    @Test func pagesFollowTheBytesOfNamesWithoutLossOrRepetition() throws {
        let all = ["Z", "a", "a b", "a/b", "ab", "é", "e\u{0301}", "z", "\u{202E}x", "😀", "<script>"]
        let snapshot = try snapshot(all)
        for limit in 1...12 {
            var seen: [String] = []
            var query = DeviceQuery(limit: limit)
            repeat {
                let matches = snapshot.find(query)
                #expect(matches.matching == all.count && matches.devices.count <= limit)
                seen += names(matches)
                query.after = matches.isMore ? seen.last ?? "" : ""
            } while !query.after.isEmpty
            #expect(
                seen.map { Array($0.utf8) } == all.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
        }
    }

    @Test func devicesStayInOrderWhenNumbersAreAddedFreedOrReused() throws {
        func seen(_ number: Int, _ name: String) throws -> MinuteLedger.LastSeen {
            MinuteLedger.LastSeen(
                number: number, device: try Readings.DeviceID(name), last: LastMessage(time: 0, missing: nil),
                lastMinute: 0)
        }
        let first = DeviceSnapshot(
            [try seen(0, "c"), try seen(1, "a"), try seen(3, "b"), try seen(9, "z")], silence)
        #expect(first.lastSeen.map(\.device.description) == ["a", "b", "c", "z"])
        // 3 is gone, 1 is another device, 2 and 4 are new.
        let second = DeviceSnapshot(
            [try seen(0, "c"), try seen(1, "x"), try seen(2, "aa"), try seen(4, "d")], silence,
            after: first)
        #expect(second.lastSeen.map(\.device.description) == ["aa", "c", "d", "x"])
        #expect(DeviceSnapshot([], silence, after: second).count == 0)
    }

    @Test func theNameOfARemovedDeviceIsAValidCursor() throws {
        let matches = try snapshot(["a": 0, "c": 0]).find(DeviceQuery(after: "b"))
        #expect(names(matches) == ["c"] && !matches.isMore)
    }

    @Test func silenceIsCountedForAllAndFiltered() throws {
        let snapshot = try snapshot(["a": 1, "b": 5, "c": 2, "dc": 9])
        func find(_ query: DeviceQuery) -> DeviceSnapshot.Matches { snapshot.find(query) }
        #expect(names(find(DeviceQuery(isSilent: true))) == ["a", "c"])
        #expect(names(find(DeviceQuery(isSilent: false))) == ["b", "dc"])
        let searched = find(DeviceQuery(search: "C", isSilent: false))
        #expect(names(searched) == ["dc"] && searched.matching == 1 && snapshot.counts.silent == 2)
    }

    @Test func devicesWithoutReadingsAreCountedAndFiltered() throws {
        let (null, none) = (MissingReading(.null, .switch, number: 0), MissingReading(.noPower))
        let lastSeen = try [
            ("gone", 1, 1, null), ("late", 9, 2, null), ("never", 9, nil, null), ("meterless", 9, nil, none),
            ("fine", 9, 9, nil),
        ].enumerated().map { (number, device: (String, Int64, Int64?, MissingReading?)) in
            MinuteLedger.LastSeen(
                number: number, device: try Readings.DeviceID(device.0),
                last: LastMessage(time: device.1 * 60, missing: device.3), lastMinute: device.2)
        }
        let snapshot = DeviceSnapshot(lastSeen, silence)
        func find(_ query: DeviceQuery) -> [String] { names(snapshot.find(query)) }
        let counts = snapshot.counts
        #expect((counts.silent, counts.withoutReadings, counts.withoutMeter) == (1, 3, 1))
        #expect(find(DeviceQuery(isSilent: true)) == ["gone"])
        #expect(find(DeviceQuery(isWithoutReadings: true)) == ["late", "meterless", "never"])
        #expect(find(DeviceQuery(isSilent: false, isWithoutReadings: false)) == ["fine"])
        #expect(find(DeviceQuery(isSilent: true, isWithoutReadings: true)) == [])
    }

    @Test(arguments: [
        ("plug", ["Plug-1", "my plug", "plug"]), ("PLUG-", ["Plug-1"]), ("É", []), ("é", ["é"]), ("%", ["100%"]),
        ("", ["100%", "Plug-1", "my plug", "plug", "é"]), ("plug-10", []),
    ])
    func searchFindsPartsOfNames(search: String, found: [String]) throws {
        let snapshot = try snapshot(["Plug-1": 0, "my plug": 0, "plug": 0, "é": 0, "100%": 0])
        #expect(names(snapshot.find(DeviceQuery(search: search))) == found)
    }
}
