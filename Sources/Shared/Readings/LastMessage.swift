/// The newest message of a device, and why its messages give no reading.
public struct LastMessage: Sendable, Equatable {
    /// Unix seconds: the message's own time, or that of its receipt if the message claims to be from later.
    public private(set) var time: Int64
    /// Why there is no reading; nil when the newest message that has a power gave one.
    public private(set) var missing: MissingReading?

    public init(time: Int64, missing: MissingReading?) {
        self.time = time
        self.missing = missing
    }

    /// Adds a message that arrived next, and may be from an earlier time.
    ///
    /// A message without power, such as one about the device's network, does not replace another message's reason.
    public mutating func add(_ next: LastMessage) {
        if next.time >= time {
            if missing == nil || next.missing?.reason != .noPower { missing = next.missing }
            time = next.time
        } else if missing?.reason == .noPower, next.missing != nil {
            missing = next.missing
        }
    }
}
