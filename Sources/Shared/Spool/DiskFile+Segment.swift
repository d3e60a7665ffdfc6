public import SystemPackage

/// Reads a segment's first and last line without reading the rest.
extension DiskFile {
    /// The header, or nil if the first line is not a header.
    public func segmentHeader() throws(Errno) -> SegmentHeader? { try SegmentFirstLine(of: self).header }

    /// The footer, or nil if the segment does not end with one.
    public func segmentFooter() throws(Errno) -> SegmentFooter? {
        let end = try size()
        let tail = try bytes(max(0, end - SegmentFormat.longestLineBytes)..<end)
        guard tail.last == UInt8(ascii: "\n") else { return nil }
        let start = tail.dropLast().lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let footer = tail[start...].withUnsafeBytes { SegmentFormat.parse(SegmentFooter.self, $0) }
        return footer?.bytes == end - (tail.count - start) ? footer : nil
    }
}
