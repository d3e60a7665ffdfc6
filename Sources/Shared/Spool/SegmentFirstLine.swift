public import SystemPackage

/// A segment's first line, read without the rest of the file.
public struct SegmentFirstLine: Sendable {
    /// Nil if the first line is not a header.
    public let header: SegmentHeader?
    /// Whether the line is complete or longer than any header. A live segment's first line may not be written yet.
    public let isWhole: Bool

    init(header: SegmentHeader?, isWhole: Bool) {
        self.header = header
        self.isWhole = isWhole
    }

    public init(of file: any DiskFile, at path: FilePath) throws(SpoolError) {
        self = try Spool.disk("read", path) { () throws(Errno) in try file.segmentFirstLine() }
    }
}
