import ArgumentParser
import Readings

/// The readings that a command selects: by device and by time range.
struct ReadingSelection: ParsableArguments {
    @Option(help: "Only this device, by its src.", transform: { try DeviceID($0) })
    var device: DeviceID?
    @Option(help: "Only readings at or after this time: 2026-11-23, 2026-11-23T10:00:00Z or Unix seconds.")
    var from: PointInTime?
    @Option(help: "Only readings before this time.")
    var to: PointInTime?

    /// Whether all readings are selected.
    var isEverything: Bool { device == nil && from == nil && to == nil }

    /// Whether a batch with this text can have a selected reading. It need not be decoded otherwise.
    func mayInclude(_ body: UnsafeRawBufferPointer) -> Bool { device?.mayOccur(in: body) ?? true }

    func includes(_ reading: Reading, in batch: Batch) -> Bool {
        includes(device: batch.devices[reading.device], timestamp: reading.timestamp)
    }

    /// - Parameter timestamp: Unix seconds.
    func includes(device: DeviceID, timestamp: Int64) -> Bool {
        if let wanted = self.device, device != wanted { return false }
        if let from, timestamp < from.unixSeconds { return false }
        if let to, timestamp >= to.unixSeconds { return false }
        return true
    }
}
