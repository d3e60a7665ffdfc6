import Readings
import Time

/// Which devices are silent at one moment, and which are heard and give no reading.
struct SilenceRule: Sendable {
    /// Unix seconds.
    private let firstHeard: Int64
    /// A reading may be of the last second of its minute.
    private var firstReportingMinute: Int64 { firstHeard / 60 }

    init(afterSeconds: Int, now: Timestamp) { firstHeard = now.unixSeconds - Int64(afterSeconds) }

    /// The state of a device.
    ///
    /// - Parameter lastMinute: minute of its newest reading, since 1970; nil when it never gave one.
    func state(_ last: LastMessage, lastMinute: Int64?) -> DeviceState {
        guard last.time >= firstHeard else { return .silent }
        guard let lastMinute else { return last.missing?.reason == .noPower ? .withoutMeter : .withoutReadings }
        return lastMinute >= firstReportingMinute ? .reporting : .withoutReadings
    }
}
