public import SystemPackage

/// Reads a segment's first and last line without reading the rest.
extension DiskFile {
    /// The header, or nil if the first line is not a header.
    public func segmentHeader() throws(Errno) -> SegmentHeader? { try segmentFirstLine().header }

    func segmentFirstLine() throws(Errno) -> SegmentFirstLine {
        let size = try size()
        // No further than the line, which is a frame of its own in a compressed segment.
        let beginning = try bytes(0..<min(size, SegmentFormat.longestLineBytes), until: UInt8(ascii: "\n"))
        guard let end = beginning.firstIndex(of: UInt8(ascii: "\n")) else {
            return SegmentFirstLine(header: nil, isWhole: size > SegmentFormat.longestLineBytes)
        }
        let header = beginning[...end].withUnsafeBytes { SegmentFormat.parse(SegmentHeader.self, $0) }
        return SegmentFirstLine(header: header, isWhole: true)
    }

    /// The footer, or nil if the segment does not end with one.
    public func segmentFooter() throws(Errno) -> SegmentFooter? {
        let end = try size()
        let tail = try bytes(max(0, end - SegmentFormat.longestLineBytes)..<end)
        guard tail.last == UInt8(ascii: "\n") else { return nil }
        let start = tail.dropLast().lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let footer = tail[start...].withUnsafeBytes { SegmentFormat.parse(SegmentFooter.self, $0) }
        return footer?.bytes == end - (tail.count - start) ? footer : nil
    }

    /// These bytes of the file, or fewer if the file ends earlier, or if a read returned `delimiter`.
    func bytes(_ range: Range<Int>, until delimiter: UInt8? = nil) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        var count = 0
        while count < range.count {
            let position = count
            let more = try bytes.withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
                let rest = UnsafeMutableBufferPointer(rebasing: buffer[position...])
                return try read(into: UnsafeMutableRawBufferPointer(rest), at: range.lowerBound + position)
            }
            if more == 0 { break }
            count += more
            if let delimiter, bytes[position..<count].contains(delimiter) { break }
        }
        return Array(bytes.prefix(count))
    }
}
