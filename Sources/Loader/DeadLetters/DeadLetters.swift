// DeadLetters: `rejected/`: readings, messages and records that cannot be rows, one file a day.
// Begin here.
// Uses Readings, Spool, Text, Time.

import Spool
import SystemPackage
import Time

/// The files in `rejected/`, one per day.
///
/// Lines are durable before the transaction that advances the progress past them commits (invariant 8). If that commit
/// fails, they are written again with the next one: at least once, never not at all.
///
/// They take no room of the disk's reserve, and no more than `SPOOL_BYTES`.
struct DeadLetters {
    let directory: SpoolDirectory
    var limits = SpoolWriter.Limits()

    /// Appends lines to today's file and returns when they are durable.
    func append(_ lines: [UInt8], now: Timestamp = .now) throws(SpoolError) {
        guard !lines.isEmpty else { return }
        try makeSure(of: lines.count)
        let path = directory.rejected.appending("\(now.day).ndjson")
        do throws(Errno) {
            try append(lines, to: path)
            try directory.disk.synchronizeDirectory(directory.rejected)
        } catch {
            throw .disk("append to", path, error)
        }
    }

    private func makeSure(of bytes: Int) throws(SpoolError) {
        let available = try directory.availableBytes()
        guard available - bytes >= limits.reserveBytes else {
            throw .full(directory.rejected, availableBytes: available, reserveBytes: limits.reserveBytes)
        }
        guard let limit = limits.spoolBytes else { return }
        let held = try directory.inventory().deadLetterBytes
        guard held + bytes <= limit else {
            throw .unfit(
                directory.rejected,
                "dead letters of \(held) bytes leave no room for more in SPOOL_BYTES; look at their reasons, and move the "
                    + "files away")
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
            let count = try piece.withUnsafeMutableBufferPointer { (bytes) throws(Errno) in
                try file.read(into: UnsafeMutableRawBufferPointer(bytes), at: offset)
            }
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
            let count = try withUnsafeMutableBytes(of: &last) { (byte) throws(Errno) in
                try file.read(into: byte, at: end - 1)
            }
            if count == 1, last != UInt8(ascii: "\n") { lines.insert(UInt8(ascii: "\n"), at: 0) }
        }
        try file.writeAll(lines[...], at: end)
        try file.synchronize()
    }
}
