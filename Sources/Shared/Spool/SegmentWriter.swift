public import SystemPackage
internal import Time

/// Appends to one segment, from its creation to its footer. After a failure it is not used again (invariant 5).
///
/// `synchronization` is the fsync for the bytes written so far. It may run while the writer continues.
public final class SegmentWriter {
    public let number: Int
    public let path: FilePath
    /// Durable length in bytes.
    public private(set) var bytes = 0
    /// Number of durable records.
    public private(set) var records = 0
    /// Written length in bytes, durable or not.
    private(set) var writtenBytes = 0
    /// Number of written records, durable or not.
    private(set) var writtenRecords = 0

    /// When the segment was created, as in its header.
    let created = Timestamp.now.iso8601

    private let file: any DiskFile
    private let directory: SpoolDirectory
    private var buffer: [UInt8] = []
    /// End offset of the last range passed to sync_file_range(2).
    private var writebackEnd = 0

    /// Writeback of a group is started in pieces of about this size, which also limits the buffer.
    private static let pieceBytes = 512 << 10
    /// A body of at least this length is passed to the kernel directly, without a copy into the buffer.
    private static let directBytes = 32 << 10

    /// Creates segment `number`; its header becomes durable with its first records.
    init(
        number: Int, predecessor: SegmentHeader.Predecessor?, rules: String?, in directory: SpoolDirectory
    ) throws(SpoolError) {
        let path = directory.pending.appending(SegmentFileName.plain(number))
        let disk = directory.disk
        self.number = number
        self.path = path
        self.directory = directory
        file = try Spool.disk("create", path) { () throws(Errno) in try disk.create(path) }
        buffer = SegmentFormat.line(
            SegmentHeader(
                format: SegmentHeader.formatName, version: SegmentHeader.knownVersion, spool: directory.identity,
                segment: number, predecessor: predecessor, created: created, rules: rules))
    }

    /// Appends the records.
    ///
    /// Writeback starts at once, unless an fsync of earlier bytes may be in flight, which would then also wait for
    /// these.
    ///
    /// - Returns: the sequence number of the first. It is durable when a synchronization that was created afterwards
    ///   has completed.
    func write(_ group: [NewRecord]) throws(SpoolError) -> Int {
        let first = writtenRecords + 1
        let startsWriteback = bytes == writtenBytes
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
            if startsWriteback, writtenBytes - writebackEnd >= Self.pieceBytes { try startWriteback() }
        }
        try flush()
        if startsWriteback { try startWriteback() }
        return first
    }

    /// The pending fsync of everything written so far.
    var synchronization: SegmentSynchronization {
        SegmentSynchronization(
            segment: number, bytes: writtenBytes, records: writtenRecords, file: file, path: path,
            directory: bytes == 0 ? directory : nil)
    }

    /// Marks the bytes and records of a completed synchronization as durable.
    func markDurable(_ synchronization: SegmentSynchronization) {
        bytes = synchronization.bytes
        records = synchronization.records
    }

    /// Closes the segment with a durable footer and returns the file's length. All of its records must be durable.
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
        try Spool.disk("write", path) { () throws(Errno) in try file.writeAll(bytes, at: writtenBytes) }
        writtenBytes += bytes.count
    }

    private func startWriteback() throws(SpoolError) {
        let piece = writebackEnd..<writtenBytes
        try Spool.disk("write", path) { () throws(Errno) in try file.startWriteback(piece) }
        writebackEnd = writtenBytes
    }
}
