internal import Glibc
public import SystemPackage

/// A record that is to be spooled.
public struct NewRecord: Sendable {
    /// Time of receipt, Unix milliseconds.
    public let receivedAt: Int64
    /// The body without line breaks, see `SegmentWriter.removeLineBreaks`.
    public let body: ArraySlice<UInt8>

    /// What a record's line has beside its body, at most, and a new segment's header.
    static let overheadBytes = 512

    public init(receivedAt: Int64, body: ArraySlice<UInt8>) {
        self.receivedAt = receivedAt
        self.body = body
    }
}

/// Appends to one segment, from its creation to its footer. After any failure it is not used again (invariant 5).
public final class SegmentWriter {
    public let number: Int
    public let path: FilePath
    /// Length in bytes of what is durable.
    public private(set) var bytes = 0
    /// Records that are durable.
    public private(set) var records = 0
    /// How long the last synchronization took.
    private(set) var synchronizing = Duration.zero

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

    /// Appends the records and returns when they are durable, with the sequence number of the first.
    ///
    /// - Parameter work: done while the disk works.
    func append(_ group: [NewRecord], meanwhile work: () -> Void) throws(SpoolError) -> Int {
        let isNew = bytes == 0
        var end = bytes
        var sequence = records
        for record in group {
            sequence += 1
            SegmentFormat.appendPrefix(
                sequence: sequence, receivedAt: record.receivedAt, body: record.body, to: &buffer)
            if record.body.count < Self.directBytes {
                buffer.append(contentsOf: record.body)
            } else {
                try flush(at: &end)
                try write(record.body, at: &end)
            }
            buffer.append(UInt8(ascii: "\n"))
            if buffer.count >= Self.pieceBytes { try flush(at: &end) }
            if end - begun >= Self.pieceBytes { try beginWriting(to: end) }
        }
        try flush(at: &end)
        try beginWriting(to: end)
        work()
        try synchronize()
        if isNew {
            let pending = directory.pending
            let disk = directory.disk
            try Spool.disk("synchronize", pending) { () throws(Errno) in try disk.synchronizeDirectory(pending) }
        }
        let hasName = try Spool.disk("examine", path) { () throws(Errno) in try file.hasName() }
        guard hasName else { throw .unfit(path, "was removed while it was written") }
        defer { records = sequence }
        bytes = end
        return records + 1
    }

    /// Leaves the segment in good order: a footer, durable. Returns the file's length.
    func seal() throws(SpoolError) -> Int {
        var end = bytes
        buffer.append(
            contentsOf: SegmentFormat.line(
                SegmentFooter(end: SegmentHeader.formatName, segment: number, records: records, bytes: bytes)))
        try flush(at: &end)
        try synchronize()
        return end
    }

    private func flush(at end: inout Int) throws(SpoolError) {
        try write(buffer[...], at: &end)
        buffer.removeAll(keepingCapacity: true)
    }

    private func write(_ bytes: ArraySlice<UInt8>, at end: inout Int) throws(SpoolError) {
        let start = end
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(Errno) in try file.writeAll(bytes, at: start) }
        }
        try Spool.disk("write", path) { () throws(Errno) in try result.get() }
        end += bytes.count
    }

    private func beginWriting(to end: Int) throws(SpoolError) {
        let piece = begun..<end
        try Spool.disk("write", path) { () throws(Errno) in try file.beginWriting(piece) }
        begun = end
    }

    private func synchronize() throws(SpoolError) {
        let started = ContinuousClock.now
        defer { synchronizing = started.duration(to: .now) }
        try Spool.disk("synchronize", path) { () throws(Errno) in try file.synchronize() }
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
