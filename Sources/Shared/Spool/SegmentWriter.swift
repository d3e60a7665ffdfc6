internal import Glibc
public import SystemPackage

/// A record that is to be spooled.
public struct NewRecord: Sendable {
    /// Time of receipt, Unix milliseconds.
    public let receivedAt: Int64
    /// The body without line breaks, see `SegmentWriter.removeLineBreaks`.
    public let body: ArraySlice<UInt8>

    /// What its line takes, at most, and a new segment's header.
    public var bytes: Int { body.count + 512 }

    public init(receivedAt: Int64, body: ArraySlice<UInt8>) {
        self.receivedAt = receivedAt
        self.body = body
    }
}

/// Appends to one segment, from its creation to its footer. After any failure it is not used again (invariant 5).
///
/// It writes, and says what makes durable what it has written: that may be under way while it writes on.
public final class SegmentWriter {
    public let number: Int
    public let path: FilePath
    /// Length in bytes of what is durable.
    public private(set) var bytes = 0
    /// Records that are durable.
    public private(set) var records = 0
    /// Length in bytes of what is written, durable or not yet.
    private(set) var writtenBytes = 0
    /// Records that are written, durable or not yet.
    private(set) var writtenRecords = 0

    /// When it was created, as its header says.
    let created = SegmentFormat.timestamp()

    private let file: any DiskFile
    private let directory: SpoolDirectory
    private var buffer: [UInt8] = []
    /// Where what the disk was told to begin with ends.
    private var begun = 0

    /// The disk is told to begin with a group in pieces of about this size, and the buffer stays as small.
    private static let pieceBytes = 512 << 10
    /// A body from this length on is handed to the kernel where it lies, not by way of the buffer.
    private static let directBytes = 32 << 10

    /// Creates segment `number`; its header becomes durable with its first records.
    init(number: Int, predecessor: SegmentHeader.Predecessor?, in directory: SpoolDirectory) throws(SpoolError) {
        let path = directory.pending.appending(SpoolDirectory.fileName(number))
        let disk = directory.disk
        self.number = number
        self.path = path
        self.directory = directory
        file = try Spool.disk("create", path) { () throws(Errno) in try disk.create(path) }
        buffer = SegmentFormat.line(
            SegmentHeader(
                format: SegmentHeader.formatName, version: SegmentHeader.knownVersion, spool: directory.identity,
                segment: number, predecessor: predecessor, created: created))
    }

    /// Writes the records behind what is there.
    ///
    /// The disk is told to begin with them at once, unless what is before them may be under way to it: who waits for that
    /// would wait for them too.
    ///
    /// - Returns: the sequence number of the first. It is durable when a synchronization is over that was made afterwards.
    func write(_ group: [NewRecord]) throws(SpoolError) -> Int {
        let first = writtenRecords + 1
        let begins = bytes == writtenBytes
        for record in group {
            writtenRecords += 1
            SegmentFormat.appendPrefix(
                sequence: writtenRecords, receivedAt: record.receivedAt, body: record.body, to: &buffer)
            if record.body.count < Self.directBytes {
                buffer.append(contentsOf: record.body)
            } else {
                try flush()
                try write(record.body)
            }
            buffer.append(UInt8(ascii: "\n"))
            if buffer.count >= Self.pieceBytes { try flush() }
            if begins, writtenBytes - begun >= Self.pieceBytes { try beginWriting() }
        }
        try flush()
        if begins { try beginWriting() }
        return first
    }

    /// What makes durable all that is written by now.
    var synchronization: SegmentSynchronization {
        SegmentSynchronization(
            segment: number, bytes: writtenBytes, records: writtenRecords, file: file, path: path,
            directory: bytes == 0 ? directory : nil)
    }

    /// Counts as durable what the synchronization has made so.
    func confirm(_ synchronization: SegmentSynchronization) {
        bytes = synchronization.bytes
        records = synchronization.records
    }

    /// Leaves the segment, all of which is durable, in good order: a footer, durable. Returns the file's length.
    func seal() throws(SpoolError) -> Int {
        buffer.append(
            contentsOf: SegmentFormat.line(
                SegmentFooter(end: SegmentHeader.formatName, segment: number, records: records, bytes: bytes)))
        try flush()
        try synchronization.run()
        return writtenBytes
    }

    private func flush() throws(SpoolError) {
        try write(buffer[...])
        buffer.removeAll(keepingCapacity: true)
    }

    private func write(_ bytes: ArraySlice<UInt8>) throws(SpoolError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(Errno) in try file.writeAll(bytes, at: writtenBytes) }
        }
        try Spool.disk("write", path) { () throws(Errno) in try result.get() }
        writtenBytes += bytes.count
    }

    private func beginWriting() throws(SpoolError) {
        let piece = begun..<writtenBytes
        try Spool.disk("write", path) { () throws(Errno) in try file.beginWriting(piece) }
        begun = writtenBytes
    }

    /// Replaces line breaks by spaces. In valid JSON they stand only between tokens, so its meaning stays the same.
    public static func removeLineBreaks(in body: inout ArraySlice<UInt8>) {
        body.withUnsafeMutableBytes { bytes in
            // memchr(3) looks at many bytes at a time, and nearly always there are none.
            for lineBreak: CInt in [0x0A, 0x0D] {
                var rest = bytes[...]
                while let start = UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress,
                    let found = memchr(start, lineBreak, rest.count)
                {
                    found.storeBytes(of: 0x20, as: UInt8.self)
                    rest = rest.dropFirst(found - start + 1)
                }
            }
        }
    }
}
