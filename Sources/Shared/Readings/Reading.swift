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

    public init(
        message: Int, device: Int, channel: Int, timestamp: Int64, power: Double, voltage: Double?, current: Double?
    ) {
        self.message = message
        self.device = device
        self.channel = channel
        self.timestamp = timestamp
        self.power = power
        self.voltage = voltage
        self.current = current
    }
}
