import Readings
import Spool

/// Readings that were received after a load: with them the loader finds out whether the table takes any reading.
struct LaterReadings {
    let directory: SpoolDirectory
    /// Number of the load's segment, and the bytes of it before the end of the load.
    let segment: Int
    let bytes: Int

    /// Segments are read until there are so many bytes of their records. The transaction is open meanwhile.
    private static let maximumBytes = 64 << 20

    /// The last reading of each device, as far as it is in the newest segments: so each device that sends is among them.
    func lastOfEachDevice() throws -> [ControlReading] {
        var found: [DeviceID: ControlReading] = [:]
        var bytesRead = 0
        let decoder = BatchDecoder()
        for segment in try directory.segments().reversed() where segment.number >= self.segment {
            guard bytesRead < Self.maximumBytes, found.count < RowControl.maximumDevices else { break }
            var last: [DeviceID: ControlReading] = [:]
            // A damaged or missing segment is reported when it is loaded.
            try? SegmentFile(segment).forEachRecord(for: decoder) { _ in
            } _: { record, _ in
                bytesRead += record.body.count
                guard segment.number > self.segment || record.range.lowerBound >= bytes,
                    let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt)
                else { return }
                for reading in batch.readings {
                    let device = batch.devices[reading.device]
                    last[device] = ControlReading(device: device, reading: reading)
                }
            }
            found.merge(last) { newer, _ in newer }
        }
        return Array(found.values)
    }
}
