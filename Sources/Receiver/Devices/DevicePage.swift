import Readings

/// A page of the list of devices.
struct DevicePage: Sendable, Equatable {
    /// Sorted by the bytes of their names.
    let devices: [DeviceSummary]
    /// The value of `after` for the next page; nil when this is the last one.
    let next: DeviceID?
    /// The number of devices that the spool knows, of the silent ones among them, of those without readings, and of those
    /// without a meter among the latter; and of those that match on all pages.
    let total: Int
    let silent: Int
    let withoutReadings: Int
    let withoutMeter: Int
    let matching: Int
    /// The minutes of the summaries' 24 hours, since 1970; the last one is the present.
    let minutes: Range<Int64>
    /// Seconds without a message after which a device is silent.
    let silentAfterSeconds: Int
    let database: DatabaseState
}
