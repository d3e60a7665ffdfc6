/// The state of a device by its messages within `DEVICE_SILENT_SECONDS`.
enum DeviceState: Sendable {
    /// No message came.
    case silent
    /// Messages came, and none gave a reading.
    case withoutReadings
    /// Messages came, and no message of the device ever had a power or gave a reading. That is no fault.
    case withoutMeter
    case reporting

    /// Whether the device is heard and gives no reading, for any reason.
    var isWithoutReadings: Bool { self == .withoutReadings || self == .withoutMeter }
}
