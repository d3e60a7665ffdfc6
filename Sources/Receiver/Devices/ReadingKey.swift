import Readings

/// The key of a reading: device, channel and minute since 1970.
struct ReadingKey: Hashable, Sendable {
    let device: DeviceID
    let channel: Int
    let minute: Int64
}
