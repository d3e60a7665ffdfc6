import Readings
import Spool
import SystemPackage
import Time

/// What could not be loaded, with its reason: a line in `rejected/2026-11-23.ndjson`.
struct DeadLetter {
    let reason: String
    /// The database's reason, when it was the database that refused.
    var sqlState: String?
    let record: SpoolPosition
    /// Index of the message in its record; nil when the record as a whole is refused.
    var message: Int?
    var device: [UInt8]?
    /// Channel of the device, when one reading is refused rather than the message.
    var channel: Int?
    /// Unix seconds of the reading.
    var timestamp: Int64?
    /// What the reading says, when it is the database that refused it.
    var values: Values?
    /// The message as JSON, which `replay --rejected` tries again.
    var content: String?
    /// The record's body, when there is no message.
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
    /// What a letter is about: a record, a message of it, or one channel of that.
    struct Subject: Hashable {
        /// As `00000017:42`.
        let record: String
        var message: Int?
        var channel: Int?
    }
}

/// The files of `rejected/`, one a day.
///
/// Lines are durable before the transaction that passes them commits (invariant 8). When that commit then fails, they
/// are written again with the next one: at least once, never not at all.
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

    /// The files by day.
    func files() throws(SpoolError) -> [FilePath] {
        do throws(Errno) {
            return try directory.disk.names(in: directory.rejected).filter { $0.hasSuffix(".ndjson") }.sorted()
                .map { directory.rejected.appending($0) }
        } catch .noSuchFileOrDirectory {
            return []
        } catch {
            throw .disk("list", directory.rejected, error)
        }
    }

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
                // An unfinished line at the end is no letter, and is shown as such to who wants to know.
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
        // A crash may have left the last line unfinished.
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
