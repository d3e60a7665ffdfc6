import Readings

/// A device's readings of one day, or of the last 24 hours, minute by minute.
struct DeviceDay: Sendable, Equatable {
    struct Channel: Sendable, Equatable {
        /// 0 to 3.
        let number: Int
        /// The minutes with a reading, sorted; those that are not among them are gaps.
        let points: [Point]
    }

    struct Point: Sendable, Equatable {
        /// Since 1970.
        let minute: Int64
        /// Watts; nil when the database is away, or has not been given the reading yet.
        let power: Double?
    }

    let device: DeviceID
    /// The newest minute with a reading; nil when the spool does not remember the device, only the database does.
    let lastMinute: Int64?
    let isSilent: Bool
    /// The minutes that were asked for, since 1970: 1440.
    let minutes: Range<Int64>
    /// The channels with a reading in these minutes, sorted.
    let channels: [Channel]
    let database: DatabaseState
}
