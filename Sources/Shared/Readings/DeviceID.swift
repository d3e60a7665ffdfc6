internal import CLinux
internal import Glibc

/// The name of a device, a message's `src`: 1 to 128 bytes of UTF-8, trimmed, without control characters.
///
/// Two names are equal if their bytes are equal, as in PostgreSQL. Swift's `String` would also equate different normal
/// forms.
public struct DeviceID: Hashable, Sendable, CustomStringConvertible {
    /// The longest name in bytes. Shelly's own names have at most 30.
    public static let maximumBytes = 128

    /// The name's bytes, valid UTF-8.
    public let utf8: [UInt8]
    /// A hash of the bytes, computed once. Different names nearly always have different hashes.
    let digest: UInt64

    /// Validates a message's `src` and trims its white space. Throws the message that the sender gets.
    public init(trimming source: UnsafeRawBufferPointer) throws(NameError) {
        if 1...Self.maximumBytes ~= source.count {
            let (digest, isPrintableASCII) = Self.scan(source)
            if isPrintableASCII {
                self.init(utf8: [UInt8](source), digest: digest)
                return
            }
        }
        let trimmed = Self.trim(source)
        guard !trimmed.isEmpty else { throw .empty }
        guard trimmed.count <= Self.maximumBytes else { throw .tooLong }
        guard !Self.hasControlCharacter(trimmed) else { throw .controlCharacter }
        self.init(valid: [UInt8](trimmed))
    }

    private init(valid utf8: [UInt8]) {
        self.init(utf8: utf8, digest: utf8.withUnsafeBytes { Self.scan($0).digest })
    }

    private init(utf8: [UInt8], digest: UInt64) {
        self.utf8 = utf8
        self.digest = digest
    }

    /// Validates a name, for instance from a command line, by the same rules.
    public init(_ name: String) throws(NameError) {
        var copy = name
        let result = copy.withUTF8 { bytes in Result { () throws(NameError) in try DeviceID(trimming: .init(bytes)) } }
        self = try result.get()
    }

    /// Accepts a name that was validated before, unchanged. Returns nil if its length is not that of a name.
    public init?(spooled name: ArraySlice<UInt8>) {
        guard 1...Self.maximumBytes ~= name.count else { return nil }
        self.init(valid: Array(name))
    }

    public var description: String { String(decoding: utf8, as: UTF8.self) }

    /// Whether a batch with this text can have a message of the device; much faster than decoding it (memmem(3)).
    ///
    /// The name may be written with escape sequences, so a text with a backslash can have one.
    public func mayOccur(in text: UnsafeRawBufferPointer) -> Bool {
        guard let start = text.baseAddress else { return false }
        return memmem(start, text.count, utf8, utf8.count) != nil
            || memchr(start, CInt(UInt8(ascii: "\\")), text.count) != nil
    }

    public static func == (a: DeviceID, b: DeviceID) -> Bool { a.digest == b.digest && a.utf8 == b.utf8 }

    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    /// Why a `src` is not a valid device name.
    public enum NameError: String, Error, CustomStringConvertible {
        case empty = "Device ID cannot be empty"
        case tooLong = "Device ID too long (max 128 bytes of UTF-8)"
        case controlCharacter = "Device ID must not contain control characters or line separators"

        public var description: String { rawValue }
    }
}

extension DeviceID {
    /// Differs between processes, so that an attacker cannot choose names that collide in a hash table.
    private static let seed = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max) | 1)

    /// Hashes eight bytes at a time with a full-width multiplication. It also checks that all bytes are ASCII, without
    /// white space and control characters, as in Shelly's own names.
    private static func scan(_ bytes: UnsafeRawBufferPointer) -> (digest: UInt64, isPrintableASCII: Bool) {
        let (start, factor) = seed
        var digest = start ^ UInt64(bytes.count)
        var others: UInt64 = 0
        func take(_ word: UInt64) {
            let (high, low) = (digest ^ word).multipliedFullWidth(by: factor)
            digest = high ^ low &+ start
            // A byte below 0x21 or above 0x7E sets its highest bit. For several such bytes, this holds at least for the
            // lowest.
            others |= word | (word &- 0x2121_2121_2121_2121) | (word &+ 0x0101_0101_0101_0101)
        }
        var offset = 0
        while offset + 8 <= bytes.count {
            take(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        if bytes.count < 8 {
            take(bytes.reduce(0x2121_2121_2121_2121) { $0 << 8 | UInt64($1) })
        } else if offset < bytes.count {
            take(bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
        }
        return (digest, others & 0x8080_8080_8080_8080 == 0)
    }
}

// The two character classes are listed here, not taken from the standard library: with a newer Unicode table, the
// loader must not validate a spooled message differently from the receiver that accepted it.
extension DeviceID {
    private static func trim(_ bytes: UnsafeRawBufferPointer) -> Slice<UnsafeRawBufferPointer> {
        var (start, end) = (0, bytes.count)
        while start < end {
            let length = bytes[start] < 0x80 ? 1 : bytes[start] < 0xE0 ? 2 : 3
            guard start + length <= end, isWhiteSpace(bytes, start..<(start + length)) else { break }
            start += length
        }
        while start < end {
            var length = 1
            while length < 3, end - length > start, bytes[end - length] & 0xC0 == 0x80 { length += 1 }
            guard isWhiteSpace(bytes, (end - length)..<end) else { break }
            end -= length
        }
        return bytes[start..<end]
    }

    /// Whether these bytes of valid UTF-8 are one white space scalar. Such a scalar has at most three bytes.
    private static func isWhiteSpace(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        let lead = UInt32(bytes[range.lowerBound])
        let (mark, bits): (UInt32, UInt32) =
            switch range.count {
            case 1: (0x00, 0x7F)
            case 2: (0xC0, 0x1F)
            default: (0xE0, 0x0F)
            }
        guard lead & ~bits == mark else { return false }
        return isWhiteSpace(range.dropFirst().reduce(lead & bits) { $0 << 6 | UInt32(bytes[$1]) & 0x3F })
    }

    private static func isWhiteSpace(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Whether there are C0, DEL or C1 controls, or line or paragraph separators, which some log viewers show as line
    /// breaks.
    private static func hasControlCharacter(_ s: Slice<UnsafeRawBufferPointer>) -> Bool {
        var twoBack: UInt8 = 0
        var oneBack: UInt8 = 0
        for byte in s {
            if byte < 0x20 || byte == 0x7F { return true }
            if oneBack == 0xC2, byte >= 0x80, byte <= 0x9F { return true }
            if twoBack == 0xE2, oneBack == 0x80, byte == 0xA8 || byte == 0xA9 { return true }
            twoBack = oneBack
            oneBack = byte
        }
        return false
    }
}
