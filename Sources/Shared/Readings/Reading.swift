/// What one channel of one device reported: power, and with it voltage and current where they were sent.
public struct Reading: Sendable, Equatable {
    /// Index of the message in its batch, from 0.
    public let message: Int
    /// Index of the device in `Batch.devices`.
    public let device: Int
    /// Channel of the device, 0 to 3 (`switch:0` to `switch:3`).
    public let channel: Int
    /// Unix seconds, UTC.
    public let timestamp: Int64
    /// Active power in watts; negative when power is fed in.
    public let power: Double
    /// Volts, or nil when the device did not say.
    public let voltage: Double?
    /// Amperes, or nil when the device did not say.
    public let current: Double?

    /// The minute since 1970-01-01T00:00Z that the reading belongs to; with device and channel it is the key.
    public var minute: Int64 { timestamp / 60 }
}

/// A reading that cannot be stored, because a value in it is not a number; the rest of its batch can.
public struct ReadingFault: Sendable, Equatable {
    /// Index of the message in its batch, from 0.
    public let message: Int
    /// Index of the device in `Batch.devices`.
    public let device: Int
    /// Channel of the device, 0 to 3.
    public let channel: Int
    /// Unix seconds, UTC.
    public let timestamp: Int64
    /// Which value is wrong: `apower`, `voltage` or `current`.
    public let field: String

    /// One sentence for logs and dead letters; nothing of what the client sent is in it.
    public var reason: String { "switch:\(channel).\(field) is not a number" }
}
