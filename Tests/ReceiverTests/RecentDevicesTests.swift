import Readings
import Testing
import Time

@testable import Receiver

struct RecentDevicesTests {
    private func batch(_ messages: [(src: String, params: String)]) throws -> Batch {
        let list = messages.map { "{\"src\":\"\($0.src)\",\"timestamp\":60,\"params\":{\($0.params)}}" }
        let body = "{\"messages\":[\(list.joined(separator: ","))]}"
        return try BatchDecoder().decode(Array(body.utf8), receivedAt: 120_000)
    }

    private func text(_ devices: RecentDevices) -> [String] {
        devices.entries.map {
            "\($0.device) \($0.component.rawValue) \($0.lacking?.rawValue ?? "-") \($0.receivedAt.unixSeconds)"
        }
    }

    private static let power = "{\"apower\":1}"
    private static let free = "\"switch:0\":\(power),\"pm1:1\":\(power)"
    private static let taken = "\"switch:0\":\(power),\"pm1:0\":\(power)"

    /// The setting would take the power of one of the components, so adding it helps.
    @Test(arguments: [["pm1:1", "pm1:0"], ["pm1:0", "pm1:1"], ["pm1:0", "pm1:1", "pm1:4"]])
    func aMessageLacksAComponentIfOneOfItsTypeWouldBecomeAReading(names: [String]) throws {
        var devices = RecentDevices()
        let params = (["switch:0"] + names).map { "\"\($0)\":\(Self.power)" }.joined(separator: ",")
        devices.add(try batch([("a", params), ("b", params)]), at: Timestamp(unixSeconds: 1))
        #expect(text(devices) == ["a pm1 pm1 1", "b pm1 pm1 1"])
    }

    @Test func theNewestMessageOfADeviceCounts() throws {
        var devices = RecentDevices()
        devices.add(try batch([("a", Self.free), ("b", Self.taken)]), at: Timestamp(unixSeconds: 1))
        #expect(text(devices) == ["a pm1 pm1 1", "b pm1 - 1"])
        devices.add(try batch([("a", Self.taken), ("b", Self.taken), ("b", Self.free)]), at: Timestamp(unixSeconds: 2))
        #expect(text(devices) == ["a pm1 - 2", "b pm1 pm1 2"])
    }

    @Test func eachTypeOfADeviceIsAnEntryAndTheOldestIsDropped() throws {
        var devices = RecentDevices()
        let params = "\(Self.taken),\"pm1:1\":\(Self.power),\"bm:0\":\(Self.power)"
        devices.add(try batch((0..<30).map { ("d\($0)", params) }), at: Timestamp(unixSeconds: 1))
        #expect(text(devices) == (5..<30).flatMap { ["d\($0) pm1 pm1 1", "d\($0) other - 1"] })
    }
}
