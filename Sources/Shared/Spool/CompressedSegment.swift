public import SystemPackage

/// A compressed segment as a file of its text, which is that of the plain segment byte for byte.
///
/// The text of a frame that cannot be read is zeros with a line break at the end, which is no record, and `damage(at:)`
/// has the reason. Frames end with lines, so the other frames' records are read.
public final class CompressedSegment: DiskFile {
    /// A frame has about so much text: enough to be compressed well, and little to be read for one record.
    public static let frameBytes = 1 << 20

    private let file: any DiskFile
    private let table: SeekTable
    private let decompressor: ZstdDecompressor
    /// Why frames could not be read, by index.
    private var flaws: [Int: String]
    /// The text of one frame, and the frame's index.
    private var text: [UInt8] = []
    private var current: Int?

    /// Opens the compressed `file`.
    init(_ file: any DiskFile) throws(Errno) {
        self.file = file
        decompressor = try ZstdDecompressor()
        if let table = try Self.seekTable(of: file) {
            self.table = table
            flaws = [:]
        } else {
            let scan = try FrameScan(file)
            (table, flaws) = (scan.table, scan.flaws)
        }
    }

    private static func seekTable(of file: any DiskFile) throws(Errno) -> SeekTable? {
        let end = try file.size()
        // Enough for the table of a segment of common length.
        var tail = try file.bytes(max(0, end - 4096)..<end)
        guard let frames = SeekTable.frames(inEnd: tail[...]) else { return nil }
        let length = SeekTable.byteCount(frames: frames)
        guard length <= end else { return nil }
        if length > tail.count { tail = try file.bytes((end - length)..<end) }
        return SeekTable(decodingEnd: tail[...], fileBytes: end)
    }

    /// The length of the text.
    public func size() throws(Errno) -> Int { table.textBytes }

    /// Reads text, up to the end of the frame that has the byte at `offset`.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        guard 0..<table.textBytes ~= offset else { return 0 }
        let index = index(of: offset)
        try load(index)
        let start = offset - table.frames[index].text.lowerBound
        let count = min(buffer.count, text.count - start)
        text.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)])) }
        return count
    }

    public func damage(at offset: Int) -> String? {
        guard 0..<table.textBytes ~= offset else { return nil }
        let index = index(of: offset)
        return flaws[index].map { reason in
            let bytes = table.frames[index].bytes
            return
                "frame \(index + 1) of the compressed file, its bytes \(bytes.lowerBound) to \(bytes.upperBound): \(reason); "
                + "the other frames are read; restore this file from a backup"
        }
    }

    /// Whether a frame that was read, or the seek table, is damaged.
    var isDamaged: Bool { !flaws.isEmpty }

    /// Never done: a compressed segment is made as a whole.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int { throw .badFileDescriptor }

    public func synchronize() throws(Errno) { try file.synchronize() }

    public func dropPageCache() throws(Errno) { try file.dropPageCache() }

    public func hasName() throws(Errno) -> Bool { try file.hasName() }

    /// The frame with the byte at `offset` of the text.
    private func index(of offset: Int) -> Int {
        if let current, table.frames[current].text.contains(offset) { return current }
        var (low, high) = (0, table.frames.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if offset < table.frames[middle].text.upperBound { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private func load(_ index: Int) throws(Errno) {
        guard current != index else { return }
        current = nil
        let frame = table.frames[index]
        if text.count != frame.text.count { text = [UInt8](repeating: 0, count: frame.text.count) }
        if flaws[index] == nil { flaws[index] = try decompress(frame) }
        if flaws[index] != nil {
            text.withUnsafeMutableBytes { text in
                _ = text.initializeMemory(as: UInt8.self, repeating: 0)
                text[text.count - 1] = UInt8(ascii: "\n")
            }
        }
        current = index
    }

    /// Fills `text`, or returns why that is not possible.
    private func decompress(_ frame: SeekTable.Frame) throws(Errno) -> String? {
        let bytes = try file.bytes(frame.bytes)
        guard bytes.count == frame.bytes.count else { return "the file ends before it" }
        return bytes.withUnsafeBytes { bytes in
            text.withUnsafeMutableBytes { decompressor.decompress(bytes, into: $0) }
        }
    }
}

extension Disk {
    /// Opens a segment to read its text, whether it is compressed or not.
    public func openSegment(_ path: FilePath) throws(Errno) -> any DiskFile {
        let file = try open(path)
        guard ZstdFrame.begins(try file.bytes(0..<4)[...]) || SegmentFileName.isCompressed(path.string) else {
            return file
        }
        return try CompressedSegment(file)
    }
}
