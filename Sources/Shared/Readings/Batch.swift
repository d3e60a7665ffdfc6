/// A decoded and validated batch.
public struct Batch: Sendable {
    /// Number of messages, valid or not.
    public internal(set) var messageCount = 0
    /// The distinct devices of the valid messages, in the order of their first message.
    public internal(set) var devices: [DeviceID] = []
    /// The newest message of each of the devices.
    public internal(set) var lastMessages: [LastMessage] = []
    /// The readings of the valid messages, in the order of messages and channels.
    public internal(set) var readings: [Reading] = []
    /// The readings that cannot be stored.
    public internal(set) var faults: [ReadingFault] = []
    /// The components that have a power and that the rules do not take.
    public internal(set) var untaken: [UntakenComponent] = []
    /// The number of valid messages without any reading, valid or not. Changes of power do not count
    /// if the device sends energy counters as well.
    public internal(set) var messagesWithoutReadings = 0
    /// The messages that violate the contract, in order.
    public internal(set) var invalid: [InvalidMessage] = []
}
