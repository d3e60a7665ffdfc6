import Readings

/// A device's readings of one day, or of the last 24 hours, minute by minute.
struct DeviceDay: Sendable, Equatable {
    struct Channel: Sendable, Equatable {
        /// 0 to 3.
        let number: Int
        /// The minutes with a reading, sorted; all other minutes are gaps.
        let points: [MinuteReading]
    }

    struct MinuteReading: Sendable, Equatable {
        /// Minutes since 1970.
        let minute: Int64
        /// Watts; nil when the database is down or does not have the reading yet.
        let power: Double?
    }

    let device: DeviceID
    /// The newest message; nil when only the database knows the device, not the spool.
    let last: LastMessage?
    /// The newest minute with a reading in the spool.
    let lastMinute: Int64?
    let state: DeviceState
    /// The requested minutes, since 1970: 1440.
    let minutes: Range<Int64>
    /// The channels with a reading in these minutes, sorted.
    let channels: [Channel]
    let database: DatabaseState
}
