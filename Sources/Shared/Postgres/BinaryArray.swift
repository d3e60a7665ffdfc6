/// A one-dimensional array in PostgreSQL's binary format, built without an allocation for each element.
///
/// The format (`src/backend/utils/adt/arrayfuncs.c`, array_recv): dimensions, null flag, element OID, length, lower
/// bound, then each element as its length (-1 for NULL) and bytes; every integer is 32 bits, big-endian.
public struct BinaryArray: Sendable {
    /// An element's type.
    public enum Element: Sendable {
        case text, int4, int8, float8, timestamptz

        var oid: UInt32 {
            switch self {
            case .text: 25
            case .int4: 23
            case .int8: 20
            case .float8: 701
            case .timestamptz: 1184
            }
        }

        var arrayOID: UInt32 {
            switch self {
            case .text: 1009
            case .int4: 1007
            case .int8: 1016
            case .float8: 1022
            case .timestamptz: 1185
            }
        }
    }

    /// Seconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps begin.
    private static let epochSeconds: Int64 = 946_684_800
    private static let headerBytes = 20

    let element: Element
    /// Elements so far.
    public private(set) var count = 0
    private var hasNull = false
    private var bytes = [UInt8](repeating: 0, count: headerBytes)

    public init(_ element: Element) { self.element = element }

    /// Bytes so far.
    public var byteCount: Int { bytes.count }

    public mutating func append(utf8 text: some Collection<UInt8>) {
        begin(Int32(text.count))
        bytes.append(contentsOf: text)
    }

    public mutating func append(_ value: Int32) {
        begin(4)
        put(value)
    }

    public mutating func append(_ value: Int64) {
        begin(8)
        put(value)
    }

    public mutating func append(_ value: Double) { append(Int64(bitPattern: value.bitPattern)) }

    /// A point in time as whole seconds since 1970-01-01 UTC.
    public mutating func append(unixSeconds: Int64) { append((unixSeconds - Self.epochSeconds) * 1_000_000) }

    public mutating func appendNull() {
        hasNull = true
        begin(-1)
    }

    /// Empties the array and keeps its memory.
    public mutating func removeAll() {
        bytes.removeSubrange(Self.headerBytes...)
        count = 0
        hasNull = false
    }

    private mutating func begin(_ length: Int32) {
        count += 1
        put(length)
    }

    private mutating func put<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Runs `body` on the finished array.
    mutating func withEncoded<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        var header: [UInt32] = [count == 0 ? 0 : 1, hasNull ? 1 : 0, element.oid, UInt32(count), 1]
        // An empty array has no dimensions, and ends there.
        let length = count == 0 ? 12 : bytes.count
        for index in header.indices { header[index] = header[index].bigEndian }
        return bytes.withUnsafeMutableBytes { all in
            header.withUnsafeBytes { all.copyMemory(from: $0) }
            return body(UnsafeRawBufferPointer(rebasing: all[..<length]))
        }
    }
}

/// A value for `$1`, `$2`, … of a statement.
public enum Parameter: Sendable {
    case text(String?)
    case integer(Int64?)
    case double(Double?)
    case bool(Bool?)
    case array(BinaryArray)
}
