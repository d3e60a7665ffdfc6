import Readings
import Spool
import Text
import Time

/// Prints the records or readings of segments as lines of JSON, for `jq` and for people.
struct RecordDump {
    let selection: ReadingSelection
    /// One line per reading rather than per record.
    let readings: Bool
    /// Called with each line.
    let put: ([UInt8]) throws -> Void
    /// Called once per damaged byte range.
    let damaged: (String) -> Void

    func run(_ file: SegmentFile) throws {
        let decoder = BatchDecoder()
        try file.forEachRecord(for: decoder, damaged: damaged) { record, position in
            if !readings, selection.isEverything { return try put(line(record, position)) }
            // A record that is not a valid batch has no readings, so no selection can include it.
            guard selection.mayInclude(record.body) else { return }
            guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { return }
            let selected = batch.readings.filter { selection.includes($0, in: batch) }
            if readings {
                for reading in selected { try put(line(reading, batch.devices[reading.device], position)) }
            } else if !selected.isEmpty {
                try put(line(record, position))
            }
        }
    }

    private func line(_ record: SegmentReader.Record, _ position: SpoolPosition) -> [UInt8] {
        JSONText { line in
            line.add("record", position.description)
            line.add("received_at", Timestamp(unixMilliseconds: record.receivedAt).iso8601)
            line.add("body", json: record.body)
        }.line
    }

    private func line(_ reading: Reading, _ device: DeviceID, _ position: SpoolPosition) -> [UInt8] {
        JSONText { line in
            line.add("record", position.description)
            line.add("device_id", utf8: device.utf8)
            line.add("channel", Int(reading.channel))
            line.add("power", reading.power)
            line.add("voltage", reading.voltage)
            line.add("current", reading.current)
            line.add("timestamp", reading.timestamp)
            line.add(
                "idempotency_key",
                IdempotencyKey.text(device: device, channel: reading.channel, minute: reading.minute))
        }.line
    }
}
