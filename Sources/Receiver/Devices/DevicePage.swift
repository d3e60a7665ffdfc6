import Readings

/// A page of the list of devices.
struct DevicePage: Sendable, Equatable {
    /// Sorted by the bytes of their names.
    let devices: [DeviceSummary]
    /// What to ask for as `after` to get the next page; nil when this is the last.
    let next: DeviceID?
    /// All devices that the spool knows, those of them that are silent, and those that were asked for on any page.
    let total: Int
    let silent: Int
    let matching: Int
    /// The minutes that the summaries' 24 hours are of, since 1970; the last one is the present.
    let minutes: Range<Int64>
    /// Seconds without a reading after which a device is silent.
    let silentAfterSeconds: Int
    let database: DatabaseState
}

/// Whether the database has answered.
enum DatabaseState: String, Sendable {
    case ok
    /// Unreachable, too slow, or without the table. What it would have told is missing.
    case away
}
