import Spool
import Text
import Time

/// A record, message or reading that could not be loaded, with the reason: one line in `rejected/2026-11-23.ndjson`.
struct DeadLetter {
    let reason: String
    /// The database's error code, if the database refused it.
    var sqlState: String?
    let record: SpoolPosition
    /// The reading rules of the record's segment, nil for the standard ones.
    let rules: String?
    /// Index of the message in its record; nil if the whole record is refused.
    var message: Int?
    var device: [UInt8]?
    /// Channel of the device, if one reading rather than the message is refused.
    var channel: Int?
    /// Unix seconds of the reading.
    var timestamp: Int64?
    /// The reading's values, if the database refused it.
    var values: Values?
    /// The message as JSON, which `replay --rejected` tries again.
    var content: String?
    /// The record's body, if there is no message.
    var body: [UInt8]?

    struct Values {
        let power: Double
        let voltage: Double?
        let current: Double?
    }

    func appendLine(to lines: inout [UInt8], now: Timestamp = .now) {
        let line = JSONText { line in
            line.add("rejected_at", now.iso8601)
            line.add("reason", reason)
            if let sqlState { line.add("sqlstate", sqlState) }
            line.add("record", record.description)
            if let rules { line.add("rules", rules) }
            if let message { line.add("message_index", message) }
            if let device { line.add("device_id", utf8: device) }
            if let channel { line.add("channel", channel) }
            if let timestamp { line.add("timestamp", timestamp) }
            if let values {
                line.add("power", values.power)
                line.add("voltage", values.voltage)
                line.add("current", values.current)
            }
            if let content { line.add("message", json: content.utf8) }
            if let body { line.add("body", String(decoding: body, as: UTF8.self)) }
        }.line
        lines.append(contentsOf: line)
    }
}

extension DeadLetter {
    /// The subject of a dead letter: a record, one of its messages, or one channel of a message.
    struct Subject: Hashable {
        /// Formatted as `00000017:42`.
        let record: String
        var message: Int?
        var channel: Int?
    }
}
