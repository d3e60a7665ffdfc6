import Readings
import Spool
import SystemPackage
import Time

/// A record, message or reading that could not be loaded, with the reason: one line in `rejected/2026-11-23.ndjson`.
struct DeadLetter {
    let reason: String
    /// The database's error code, if the database refused it.
    var sqlState: String?
    let record: SpoolPosition
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

    func appendLine(to lines: inout [UInt8], now: Int64 = Moment.now) {
        var line = JSONLine()
        line.add("rejected_at", text: Moment.text(unixMilliseconds: now))
        line.add("reason", text: reason)
        if let sqlState { line.add("sqlstate", text: sqlState) }
        line.add("record", text: record.description)
        if let message { line.add("message_index", number: message) }
        if let device { line.add("device_id", text: device) }
        if let channel { line.add("channel", number: channel) }
        if let timestamp { line.add("timestamp", number: timestamp) }
        if let values {
            line.add("power", number: values.power)
            line.add("voltage", number: values.voltage)
            line.add("current", number: values.current)
        }
        if let content { line.add("message", json: content.utf8) }
        if let body { line.add("body", text: String(decoding: body, as: UTF8.self)) }
        lines.append(contentsOf: line.finished())
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

/// The files in `rejected/`, one per day.
///
/// Lines are durable before the transaction that advances the progress past them commits (invariant 8). If that commit
/// fails, they are written again with the next one: at least once, never not at all.
struct DeadLetters {
    let directory: SpoolDirectory

    /// Appends lines to today's file and returns when they are durable.
    func append(_ lines: [UInt8], now: Int64 = Moment.now) throws(SpoolError) {
        guard !lines.isEmpty else { return }
        let path = directory.rejected.appending(Moment.text(unixMilliseconds: now).prefix(10) + ".ndjson")
        do throws(Errno) {
            try append(lines, to: path)
            try directory.disk.synchronizeDirectory(directory.rejected)
        } catch {
            throw .disk("append to", path, error)
        }
    }

    /// The files, sorted by day.
    func files() throws(SpoolError) -> [FilePath] { try directory.deadLetterFiles() }

    /// Visits every line of every file, without its line break.
    func forEachLine(_ body: ([UInt8]) -> Void) throws(SpoolError) {
        for path in try files() { try Self.forEachLine(of: path, directory.disk, body) }
    }

    /// Visits every line of a file.
    static func forEachLine(
        of path: FilePath, _ disk: any Disk = SystemDisk(), _ body: ([UInt8]) -> Void
    ) throws(SpoolError) {
        do throws(Errno) {
            try forEachLine(of: try disk.open(path), body)
        } catch {
            throw .disk("read", path, error)
        }
    }

    private static func forEachLine(of file: any DiskFile, _ body: ([UInt8]) -> Void) throws(Errno) {
        var piece = [UInt8](repeating: 0, count: 1 << 18)
        var line: [UInt8] = []
        var offset = 0
        while true {
            let read = piece.withUnsafeMutableBytes { bytes in
                Result { () throws(Errno) in try file.read(into: bytes, at: offset) }
            }
            let count = try read.get()
            guard count > 0 else {
                // An unfinished line at the end is not a valid dead letter. It is passed on, so that the caller can
                // report it.
                return line.isEmpty ? () : body(line)
            }
            offset += count
            var rest = piece[..<count]
            while let lineBreak = rest.firstIndex(of: UInt8(ascii: "\n")) {
                line.append(contentsOf: rest[..<lineBreak])
                body(line)
                line.removeAll(keepingCapacity: true)
                rest = rest[(lineBreak + 1)...]
            }
            line.append(contentsOf: rest)
        }
    }

    private func append(_ lines: [UInt8], to path: FilePath) throws(Errno) {
        let file = try directory.disk.openOrCreate(path)
        let end = try file.size()
        var lines = lines
        // A crash may have left the last line incomplete.
        if end > 0 {
            var last: UInt8 = 0
            let read = withUnsafeMutableBytes(of: &last) { byte in
                Result { () throws(Errno) in try file.read(into: byte, at: end - 1) }
            }
            if try read.get() == 1, last != UInt8(ascii: "\n") { lines.insert(UInt8(ascii: "\n"), at: 0) }
        }
        let written = lines.withUnsafeBytes { bytes in
            Result { () throws(Errno) in try file.writeAll(bytes, at: end) }
        }
        try written.get()
        try file.synchronize()
    }
}
