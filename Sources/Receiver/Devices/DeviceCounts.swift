// Devices: `/api/devices`: when each device was last heard and read, and a device's day.
// Begin with DeviceSource.swift.
// Uses Commit, HTTP, Ingest, Ledger, Statistics, Postgres, Readings, Text, Time.

/// How many devices are silent, and how many are heard and give no reading.
struct DeviceCounts: Sendable {
    let silent: Int
    let withoutReadings: Int
}
