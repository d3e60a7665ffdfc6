/// What a device has done within `DEVICE_SILENT_SECONDS`.
enum DeviceState: Sendable, CaseIterable {
    /// No message came.
    case silent
    /// Messages came, and none gave a reading.
    case withoutReadings
    case reporting
}
