import Readings
import Testing

@testable import Receiver

/// The pages of the list: all silent devices, then all others, each once.
struct DeviceListTests {
    @Test(arguments: [
        (0, 0), (0, 3), (3, 0), (1, 1), (49, 1), (50, 0), (50, 1), (51, 0), (51, 49), (120, 77), (0, 151),
    ])
    func pagesHaveEveryDeviceOnceSilentOnesFirst(silent: Int, reporting: Int) async throws {
        let all =
            try (0..<silent).map { try StatusPageTests.device("q\(1000 + $0)", silent: true) }
            + (0..<reporting).map { try StatusPageTests.device("a\(1000 + $0)") }
        var query: DeviceList.Query? = DeviceList.Query()
        var seen: [DeviceSummary] = []
        var pages = 0
        while let wanted = query, pages < 10 {
            let list = try await DeviceList(wanted) { Self.page($0, of: all) }
            #expect(list.total == all.count && list.silent == silent && list.devices.count <= DeviceList.limit)
            // No link leads to an empty page.
            #expect(!list.devices.isEmpty || all.isEmpty)
            seen += list.devices
            query = list.next.map { DeviceList.Query(place: $0) }
            pages += 1
        }
        #expect(seen == all && pages == max(1, (all.count + 49) / 50))
    }

    @Test func aLinkLeadsToItsPageOfTheList() throws {
        for place in [
            DeviceList.Cursor(state: .silent, after: "a&b=c#\"><"), .init(state: .reporting, after: ""),
            .init(state: .withoutReadings, after: "x"),
        ] {
            let query = DeviceList.Query(search: "é +%", place: place)
            let text = try #require(query.link.split(separator: "#").first?.split(separator: "?").last)
            #expect(try DeviceList.Query(QueryParameters(String(text))) == query)
        }
        #expect(try DeviceList.Query(QueryParameters(nil)) == DeviceList.Query())
    }

    /// Answers like `DeviceSource`.
    private static func page(_ query: DeviceQuery, of all: [DeviceSummary]) -> DevicePage {
        let matching = all.filter { query.includes($0.state) }
        let behind = matching.filter { query.after.isEmpty || query.after < "\($0.device)" }
        let devices = Array(behind.prefix(query.limit))
        return DevicePage(
            devices: devices, next: behind.count > devices.count ? devices.last?.device : nil, total: all.count,
            silent: all.count { $0.state == .silent }, withoutReadings: 0,
            withoutMeter: 0, matching: matching.count, minutes: 0..<1440,
            silentAfterSeconds: 900,
            database: .ok)
    }
}
