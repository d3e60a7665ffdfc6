internal import FoundationEssentials
internal import Text

// The segment's format, in one place; docs/SPOOL_FORMAT.md has a diagram. A segment consists of lines:
//
//     {"format":"shelly-spool","version":1,…}\n                                      header
//     <crc32c> <sequence> <receipt time> <length of body> <body>\n                   records
//     {"end":"shelly-spool","segment":17,"records":2,"bytes":4711}\n                 footer, if closed cleanly

/// The first line of a segment: the spool that it belongs to, and its place in that spool.
public struct SegmentHeader: Codable, Equatable, Sendable {
    /// Always `shelly-spool`.
    public let format: String
    /// The format version, 1. A reader refuses an unknown version.
    public let version: Int
    /// The spool's identity, from `spool.json`.
    public let spool: String
    /// The segment's own number.
    public let segment: Int
    /// The previous segment that has records, or nil if there is none. It reveals a segment that is missing or has lost
    /// durable records (invariant 7).
    public let predecessor: Predecessor?
    /// When the segment was created, ISO 8601 in UTC. It distinguishes two segments that got the same number by
    /// accident.
    public let created: String
    /// The reading rules with which the records were counted; nil for the standard ones. The spool does not interpret
    /// them.
    public let rules: String?

    static let formatName = "shelly-spool"
    static let knownVersion = 1

    /// A segment's reference to the previous one.
    public struct Predecessor: Codable, Equatable, Sendable {
        public let segment: Int
        /// Records that were durable when that segment was closed. It may have more, which were never acknowledged.
        public let records: Int
    }
}

/// The last line of a cleanly closed segment: no line follows it, and no line before it is missing.
public struct SegmentFooter: Codable, Equatable, Sendable {
    /// Always `shelly-spool`.
    public let end: String
    public let segment: Int
    /// Records in the segment.
    public let records: Int
    /// Bytes before the footer, header included.
    public let bytes: Int
}

/// A record's line up to its body.
struct RecordPrefix: Equatable {
    let checksum: UInt32
    let sequence: Int
    let receivedAt: Int64
    let bodyBytes: Int
    /// Length of the prefix itself, the space before the body included.
    let byteCount: Int

    /// 8 hex, three decimals of at most 19 digits, four spaces.
    static let maximumBytes = 8 + 3 * 19 + 4
    /// Offset of the checksummed part: after the checksum and its space.
    static let checksummedFrom = 9

    /// Parses the prefix at the start of `line`. Returns nil if these bytes are not the beginning of a record.
    init?(_ line: UnsafeRawBufferPointer) {
        var position = 0
        var checksum: UInt32 = 0
        while position < 8 {
            guard position < line.count, let digit = Self.hexValue(line[position]) else { return nil }
            checksum = checksum << 4 | digit
            position += 1
        }
        func space() -> Bool {
            guard position < line.count, line[position] == 0x20 else { return false }
            position += 1
            return true
        }
        func number() -> Int? {
            let start = position
            var value = 0
            while position < line.count, position - start < 18, 0x30...0x39 ~= line[position] {
                value = value * 10 + Int(line[position] - 0x30)
                position += 1
            }
            return position > start ? value : nil
        }
        guard space(), let sequence = number(), space(), let time = number(), space(), let length = number(), space()
        else { return nil }
        self.checksum = checksum
        self.sequence = sequence
        receivedAt = Int64(time)
        bodyBytes = length
        byteCount = position
    }

    private static func hexValue(_ c: UInt8) -> UInt32? {
        switch c {
        case 0x30...0x39: UInt32(c - 0x30)
        case 0x61...0x66: UInt32(c - 0x61 + 10)
        default: nil
        }
    }
}

enum SegmentFormat {
    /// Appends a record's line up to its body to `buffer`.
    ///
    /// - Parameter body: the body that the caller appends next, followed by a line break. It must not contain a line
    ///   break.
    static func appendPrefix(sequence: Int, receivedAt: Int64, body: ArraySlice<UInt8>, to buffer: inout [UInt8]) {
        let start = buffer.count
        buffer.append(contentsOf: "00000000 ".utf8)
        for number in [sequence, Int(receivedAt), body.count] {
            buffer.append(decimal: number)
            buffer.append(UInt8(ascii: " "))
        }
        let ofPrefix = buffer.withUnsafeBytes { checksum($0[(start + RecordPrefix.checksummedFrom)...]) }
        let crc = body.withUnsafeBytes { Checksum.of($0, behind: ofPrefix) }
        for digit in 0..<8 {
            buffer[start + digit] = hexDigit(crc >> UInt32(28 - 4 * digit) & 15)
        }
    }

    /// The CRC-32C of the bytes.
    static func checksum(_ bytes: Slice<UnsafeRawBufferPointer>) -> UInt32 {
        Checksum.of(UnsafeRawBufferPointer(rebasing: bytes))
    }

    /// A header or footer encoded as one line.
    static func line<T: Encodable>(_ value: T) -> [UInt8] {
        JSONText(encoding: value).line
    }

    /// Upper bound for the length of a header or footer.
    static let longestLineBytes = 4096

    static func parse<T: Decodable>(_ type: T.Type, _ line: UnsafeRawBufferPointer) -> T? {
        try? JSONDecoder().decode(type, from: Data(line))
    }

    private static func hexDigit(_ value: UInt32) -> UInt8 {
        UInt8(truncatingIfNeeded: value < 10 ? 0x30 + value : 0x61 + value - 10)
    }
}
