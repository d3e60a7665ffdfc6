import Readings

/// A device as a list shows it.
struct DeviceSummary: Sendable, Equatable {
    struct Channel: Sendable, Equatable {
        /// 0 to 3.
        let number: Int
        /// The newest minute with a reading, since 1970.
        let lastMinute: Int64
        /// The newest power that the database has of the last minutes; nil when it is away, or has not been given one yet.
        let power: MinutePower?
        /// The power at the newest reading of each of the last 24 hours, the oldest first, nil where there is none; empty when
        /// it was not asked for.
        let hourlyPower: [Double?]
    }

    let device: DeviceID
    /// The newest minute with a reading, since 1970; by the device's clock, which may be ahead.
    let lastMinute: Int64
    /// Whether it has had no reading for longer than it may.
    let isSilent: Bool
    /// The channels that ever reported as far as the spool remembers, sorted.
    let channels: [Channel]
    /// Readings of all channels in each of the last 24 hours, the oldest first.
    let activity: [Int]
}

/// Watts in one minute.
struct MinutePower: Sendable, Equatable {
    /// Since 1970.
    let minute: Int64
    let watts: Double
}
