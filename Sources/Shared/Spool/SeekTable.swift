/// The frames of a compressed segment: where each lies in the file, and which part of the text it has.
///
/// It follows the frames, so that a reader can begin anywhere, in zstd's seekable format: a skippable frame that other
/// programs pass over. A label, a skippable frame as well, guards the table with a checksum, which that format lacks.
///
///     frames of text
///     0x184D2A5D, 4, CRC-32C of the rest of the file                                   label
///     0x184D2A5E, length, frames × (frame's length, text's length), frames, 0, 0x8F92EAB1     table
///
/// Integers have four bytes and are little-endian; the 0 has one. The label is one of the table's frames, without text.
struct SeekTable: Equatable {
    struct Frame: Equatable {
        /// Its bytes in the file.
        let bytes: Range<Int>
        /// Its bytes in the segment's text.
        let text: Range<Int>
    }

    /// Upper bound for a frame's text, so that a foreign file cannot fill the memory. A line is never longer.
    static let longestTextBytes = 18 << 20

    /// Frames with text, in their order.
    private(set) var frames: [Frame] = []
    /// Bytes of all frames.
    var bytes: Int { frames.last?.bytes.upperBound ?? 0 }
    /// Bytes of the whole text.
    var textBytes: Int { frames.last?.text.upperBound ?? 0 }

    private static let labelMagic: UInt32 = 0x184D_2A5D
    private static let tableMagic: UInt32 = 0x184D_2A5E
    private static let lastMagic: UInt32 = 0x8F92_EAB1
    private static let labelBytes = 12
    private static let entryBytes = 8
    /// The magic number and the length before the entries, and the number, the flags and the magic number behind them.
    private static let frameBytes = 8 + 9

    /// Appends a frame.
    mutating func append(bytes: Int, text: Int) { append(at: self.bytes, bytes: bytes, text: text) }

    /// Appends a frame that does not follow the one before it at once.
    mutating func append(at offset: Int, bytes: Int, text: Int) {
        frames.append(Frame(bytes: offset..<(offset + bytes), text: textBytes..<(textBytes + text)))
    }

    /// The length of the label and the table together.
    static func byteCount(frames: Int) -> Int { labelBytes + frameBytes + (frames + 1) * entryBytes }

    /// The label and the table.
    var encoded: [UInt8] {
        var table: [UInt8] = []
        func put(_ number: UInt32) { withUnsafeBytes(of: number.littleEndian) { table.append(contentsOf: $0) } }
        let entries = frames.map { ($0.bytes.count, $0.text.count) } + [(Self.labelBytes, 0)]
        put(Self.tableMagic)
        put(UInt32(entries.count * Self.entryBytes + 9))
        for (bytes, text) in entries {
            put(UInt32(bytes))
            put(UInt32(text))
        }
        put(UInt32(entries.count))
        table.append(0)
        put(Self.lastMagic)
        let rest = table
        table = []
        put(Self.labelMagic)
        put(4)
        put(rest.withUnsafeBytes { Checksum.of($0) })
        return table + rest
    }

    /// The number of frames by the last bytes of a file, or nil if no table ends there.
    static func frames(inEnd end: ArraySlice<UInt8>) -> Int? {
        guard end.count >= 9, number(end.suffix(4)) == lastMagic else { return nil }
        return Int(number(end.suffix(9).prefix(4))) - 1
    }

    init() {}

    /// The table in the last bytes of a file; nil if it is damaged, or was made by another program.
    ///
    /// - Parameter fileBytes: the file's length.
    init?(decodingEnd end: ArraySlice<UInt8>, fileBytes: Int) {
        guard let count = Self.frames(inEnd: end), count >= 0, end.count >= Self.byteCount(frames: count) else {
            return nil
        }
        let end = Array(end.suffix(Self.byteCount(frames: count)))
        guard Self.number(end[0..<4]) == Self.labelMagic, Self.number(end[4..<8]) == 4,
            Self.number(end[8..<12]) == end[Self.labelBytes...].withUnsafeBytes({ Checksum.of($0) })
        else { return nil }
        for index in 0..<count {
            let entry = Self.labelBytes + 8 + index * Self.entryBytes
            let bytes = Int(Self.number(end[entry..<(entry + 4)]))
            let text = Int(Self.number(end[(entry + 4)..<(entry + 8)]))
            // No reader allocates more than a frame can have.
            guard 1...Self.longestTextBytes ~= text,
                bytes <= ZstdFrame.longestBytes(ofContent: Self.longestTextBytes)
            else { return nil }
            append(bytes: bytes, text: text)
        }
        guard bytes + end.count == fileBytes else { return nil }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
