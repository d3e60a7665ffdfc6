import Testing

@testable import Readings

struct DeviceIDTests {
    /// The search in the text must find every device that the decoder finds.
    @Test(arguments: [
        (#"{"messages":[{"src":"plug","timestamp":1,"params":{}}]}"#, "plug", true),
        (#"{"messages":[{"src":"  plug ","timestamp":1,"params":{}}]}"#, "plug", true),
        (#"{"messages":[{"src":"\u0070lug","timestamp":1,"params":{}}]}"#, "plug", true),
        (#"{"messages":[{"src":"a\"b","timestamp":1,"params":{}}]}"#, "a\"b", true),
        (#"{"messages":[{"src":"pró ☀","timestamp":1,"params":{}}]}"#, "pró ☀", true),
        (#"{"messages":[{"src":"lamp","timestamp":1,"params":{}}]}"#, "plug", false),
        (#"{"messages":[{"src":"PLUG","timestamp":1,"params":{}}]}"#, "plug", false), ("", "plug", false),
    ])
    func aTextWithTheDeviceIsFound(text: String, name: String, occurs: Bool) throws {
        let (device, body) = (try DeviceID(name), Array(text.utf8))
        #expect(body.withUnsafeBytes { device.mayOccur(in: $0) } == occurs)
        let batch = try? BatchDecoder().decode(body, receivedAt: 1_000)
        #expect((batch?.devices ?? []).contains(device) == occurs)
    }
}
