/// One channel's reading from one device: power, and voltage and current if they were sent.
public struct Reading: Sendable, Equatable {
    /// Index of the message in its batch, from 0.
    public let message: Int
    /// Index of the device in `Batch.devices`.
    public let device: Int
    /// Channel of the device, 0 to 3: the number of the component, or the phase of `em:0`.
    public let channel: Int
    /// Unix seconds, UTC: of the message, or of the start of the minute whose mean power this is.
    public let timestamp: Int64
    /// Active power in watts, negative when power is fed in.
    public let power: Double
    /// Volts, or nil if the device did not send them.
    public let voltage: Double?
    /// Amperes, or nil if the device did not send them.
    public let current: Double?

    /// The reading's minute since 1970-01-01T00:00Z. Together with device and channel, it is the key.
    public var minute: Int64 { timestamp / 60 }
}

/// A reading that cannot be stored because one of its values is not a number. The rest of its batch can be stored.
public struct ReadingFault: Sendable, Equatable {
    /// Index of the message in its batch, from 0.
    public let message: Int
    /// Index of the device in `Batch.devices`.
    public let device: Int
    public let component: ReadingRules.Component
    /// Channel of the device, 0 to 3.
    public let channel: Int
    /// Unix seconds, UTC.
    public let timestamp: Int64
    /// The name of the wrong value, such as `apower`.
    public let field: String

    /// One sentence for logs and dead letters. It contains no text from the client.
    public var reason: String { "\(component.rawValue):\(component == .em ? 0 : channel).\(field) is not a number" }
}
