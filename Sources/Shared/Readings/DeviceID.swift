/// The name of a device, a message's `src`: 1 to 128 bytes of UTF-8, trimmed, without control characters.
///
/// Two names are equal when their bytes are, as in PostgreSQL; Swift's `String` would also equate other normal forms.
public struct DeviceID: Hashable, Sendable, CustomStringConvertible {
    /// The longest name in bytes; Shelly's own have 30 at most.
    public static let maximumBytes = 128

    /// The name's bytes, valid UTF-8.
    public let utf8: [UInt8]
    /// Stands for the bytes in hash tables: computed once, and nearly always different where they are.
    let digest: UInt64

    /// Takes a message's `src`, trimming white space; throws the sentence that the sender gets.
    public init(trimming source: UnsafeRawBufferPointer) throws(Fault) {
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
        self.init(judged: [UInt8](trimmed))
    }

    private init(judged utf8: [UInt8]) {
        self.init(utf8: utf8, digest: utf8.withUnsafeBytes { Self.scan($0).digest })
    }

    private init(utf8: [UInt8], digest: UInt64) {
        self.utf8 = utf8
        self.digest = digest
    }

    /// Takes a name as it is, for instance from a command line, under the same rules.
    public init(_ name: String) throws(Fault) {
        var copy = name
        let result = copy.withUTF8 { bytes in Result { () throws(Fault) in try DeviceID(trimming: .init(bytes)) } }
        self = try result.get()
    }

    /// Takes a name that was judged before, as it is; nil when it cannot be one.
    public init?(spooled name: ArraySlice<UInt8>) {
        guard 1...Self.maximumBytes ~= name.count else { return nil }
        self.init(judged: Array(name))
    }

    public var description: String { String(decoding: utf8, as: UTF8.self) }

    public static func == (a: DeviceID, b: DeviceID) -> Bool { a.digest == b.digest && a.utf8 == b.utf8 }

    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    /// Why a `src` is no device's name.
    public enum Fault: String, Error, CustomStringConvertible {
        case empty = "Device ID cannot be empty"
        case tooLong = "Device ID too long (max 128 bytes of UTF-8)"
        case controlCharacter = "Device ID must not contain control characters or line separators"

        public var description: String { rawValue }
    }
}

extension DeviceID {
    /// Differs from process to process, so that nobody can choose names that meet in one place of a table.
    private static let seed = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max) | 1)

    /// Folds eight bytes at a time with a full multiplication, and looks whether there is neither white space nor a control
    /// character nor a byte beyond ASCII among them, as in Shelly's own names.
    private static func scan(_ bytes: UnsafeRawBufferPointer) -> (digest: UInt64, isPrintableASCII: Bool) {
        let (start, factor) = seed
        var digest = start ^ UInt64(bytes.count)
        var others: UInt64 = 0
        func take(_ word: UInt64) {
            let (high, low) = (digest ^ word).multipliedFullWidth(by: factor)
            digest = high ^ low &+ start
            // A byte below 0x21 or above 0x7E, the lowest of them at least, sets its highest bit.
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

// The two character classes are spelled out, not asked of the standard library: a newer Unicode table must not make
// the loader judge a spooled message differently from the receiver that took it.
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

    /// Whether these bytes of valid UTF-8 are one scalar that is white space; none has more than three.
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

    /// C0, DEL and C1 controls, and the line and paragraph separators, which some log viewers break lines at.
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
