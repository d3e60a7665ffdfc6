public import SystemPackage

/// A segment's first line, read without the rest of the file.
public struct SegmentFirstLine: Sendable {
    /// Nil if the first line is not a header.
    public let header: SegmentHeader?
    /// Whether the line is complete or longer than any header. A live segment's first line may not be written yet.
    public let isWhole: Bool

    public init(of file: any DiskFile, at path: FilePath) throws(SpoolError) {
        self = try Spool.disk("read", path) { () throws(Errno) in try SegmentFirstLine(of: file) }
    }

    init(of file: any DiskFile) throws(Errno) {
        let size = try file.size()
        // No further than the line, which is a frame of its own in a compressed segment.
        let beginning = try file.bytes(0..<min(size, SegmentFormat.longestLineBytes), until: UInt8(ascii: "\n"))
        guard let end = beginning.firstIndex(of: UInt8(ascii: "\n")) else {
            header = nil
            isWhole = size > SegmentFormat.longestLineBytes
            return
        }
        header = beginning[...end].withUnsafeBytes { SegmentFormat.parse(SegmentHeader.self, $0) }
        isWhole = true
    }
}
