import Readings
import Testing

@testable import Receiver

struct DeviceCensusTests {
    private func census(_ devices: KeyValuePairs<String, Int64>) throws -> DeviceCensus {
        DeviceCensus(
            try devices.enumerated().map {
                MinuteLedger.Sighting(number: $0, device: try Readings.DeviceID($1.key), lastMinute: $1.value)
            })
    }

    private func census(_ names: [String]) throws -> DeviceCensus {
        DeviceCensus(
            try names.enumerated().map {
                MinuteLedger.Sighting(number: $0, device: try Readings.DeviceID($1), lastMinute: 0)
            })
    }

    private func names(_ finding: DeviceCensus.Finding) -> [String] { finding.devices.map(\.description) }

    @Test func pagesFollowTheBytesOfNamesWithoutLossOrRepeat() throws {
        let all = ["Z", "a", "a b", "a/b", "ab", "é", "e\u{0301}", "z", "\u{202E}x", "😀", "<script>"]
        let census = try census(all)
        for limit in 1...12 {
            var seen: [String] = []
            var query = DeviceQuery(limit: limit)
            repeat {
                let finding = census.find(query) { _ in false }
                #expect(finding.matching == all.count && finding.devices.count <= limit)
                seen += names(finding)
                query.after = finding.isMore ? seen.last ?? "" : ""
            } while !query.after.isEmpty
            #expect(
                seen.map { Array($0.utf8) } == all.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
        }
    }

    @Test func numbersThatCameWentOrChangedHandsAreInOrder() throws {
        func sighting(_ number: Int, _ name: String) throws -> MinuteLedger.Sighting {
            MinuteLedger.Sighting(number: number, device: try Readings.DeviceID(name), lastMinute: 0)
        }
        let first = DeviceCensus([
            try sighting(0, "c"), try sighting(1, "a"), try sighting(3, "b"), try sighting(9, "z"),
        ])
        #expect(first.sightings.map(\.device.description) == ["a", "b", "c", "z"])
        // 3 is gone, 1 is another device, 2 and 4 are new.
        let second = DeviceCensus(
            [try sighting(0, "c"), try sighting(1, "x"), try sighting(2, "aa"), try sighting(4, "d")], after: first)
        #expect(second.sightings.map(\.device.description) == ["aa", "c", "d", "x"])
        #expect(DeviceCensus([], after: second).sightings.isEmpty)
    }

    @Test func aNameThatWentMeanwhileIsACursorAllTheSame() throws {
        let finding = try census(["a": 0, "c": 0]).find(DeviceQuery(after: "b")) { _ in false }
        #expect(names(finding) == ["c"] && !finding.isMore)
    }

    @Test func silenceIsCountedForAllAndFiltered() throws {
        let census = try census(["a": 1, "b": 5, "c": 2, "dc": 9])
        func find(_ query: DeviceQuery) -> DeviceCensus.Finding { census.find(query) { $0 < 3 } }
        #expect(names(find(DeviceQuery(isSilent: true))) == ["a", "c"])
        #expect(names(find(DeviceQuery(isSilent: false))) == ["b", "dc"])
        let searched = find(DeviceQuery(search: "C", isSilent: false))
        #expect(names(searched) == ["dc"] && searched.matching == 1 && searched.silent == 2)
    }

    @Test(arguments: [
        ("plug", ["Plug-1", "my plug", "plug"]), ("PLUG-", ["Plug-1"]), ("É", []), ("é", ["é"]), ("%", ["100%"]),
        ("", ["100%", "Plug-1", "my plug", "plug", "é"]), ("plug-10", []),
    ])
    func searchFindsPartsOfNames(search: String, found: [String]) throws {
        let census = try census(["Plug-1": 0, "my plug": 0, "plug": 0, "é": 0, "100%": 0])
        #expect(names(census.find(DeviceQuery(search: search)) { _ in false }) == found)
    }
}
