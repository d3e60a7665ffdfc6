/// The idempotency key, one per device, channel and minute: `{src}_{channel}_{timestamp / 60}`.
public struct IdempotencyKey {
    /// Appends the key's bytes to `bytes`.
    public static func append(device: DeviceID, channel: Int, minute: Int64, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: device.utf8)
        bytes.append(UInt8(ascii: "_"))
        bytes.append(UInt8(ascii: "0") + UInt8(channel))
        bytes.append(UInt8(ascii: "_"))
        var divisor: Int64 = 1
        while minute / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(minute / divisor % 10))
            divisor /= 10
        }
    }

    /// The key as text, for messages and tests.
    public static func text(device: DeviceID, channel: Int, minute: Int64) -> String {
        var bytes: [UInt8] = []
        append(device: device, channel: channel, minute: minute, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
