import Readings

/// A device's entry in the list.
struct DeviceSummary: Sendable, Equatable {
    struct Channel: Sendable, Equatable {
        /// 0 to 3.
        let number: Int
        /// The newest minute with a reading, since 1970.
        let lastMinute: Int64
        /// The newest power of the last minutes in the database; nil when the database is down or does not have one
        /// yet.
        let power: MinutePower?
        /// The power at the newest reading of each of the last 24 hours, the oldest first. nil where there is none;
        /// empty when it was not requested.
        let hourlyPower: [Double?]
    }

    let device: DeviceID
    /// The newest message.
    let last: LastMessage
    /// The newest minute with a reading, since 1970; by the device's clock, which may be ahead. nil when the device never
    /// gave one. The state is as of this minute and the newest message; a channel may have a newer one since.
    let lastMinute: Int64?
    let state: DeviceState
    /// All channels with a reading in the spool, sorted.
    let channels: [Channel]
    /// The number of readings of all channels in each of the last 24 hours, the oldest first.
    let activity: [Int]
}
