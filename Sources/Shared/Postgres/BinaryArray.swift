/// A one-dimensional array in PostgreSQL's binary format, built without an allocation for each element.
///
/// The format is that of `array_recv` (src/backend/utils/adt/arrayfuncs.c). Integers are 32 bits, big-endian:
///
///     0            4            8            12       16             20
///     ┌────────────┬────────────┬────────────┬────────┬─────────────┬─────────────────────────┬───
///     │ dimensions │ null flag  │ element    │ length │ lower bound │ length of element 1,    │ …
///     │ 1          │ 0 or 1     │ OID        │        │ 1           │ -1 for NULL │ its bytes │
///     └────────────┴────────────┴────────────┴────────┴─────────────┴─────────────────────────┴───
///
/// An empty array has no dimensions and ends after the OID. Appending a value of another type than the element's is a
/// programmer's error.
public struct BinaryArray: Sendable {
    /// An element's type.
    public enum Element: Sendable {
        case text, int4, int8, float8, timestamptz
    }

    /// Microseconds from 1970-01-01 to 2000-01-01, the epoch of PostgreSQL's timestamps.
    static let epochMicroseconds: Int64 = 946_684_800_000_000

    /// The type of every element.
    public let element: Element
    /// Number of elements so far, NULLs included.
    public private(set) var count = 0
    private var bytes: [UInt8] = []

    /// Creates an empty array.
    public init(_ element: Element) {
        self.element = element
        putHeader()
    }

    /// Number of bytes so far, the header's 20 included.
    public var byteCount: Int { bytes.count }

    /// Appends a text. PostgreSQL refuses a NUL in it, and bytes that are not UTF-8, with 22021.
    public mutating func append(utf8 text: UnsafeRawBufferPointer) {
        begin(.text, length: Int32(text.count))
        bytes.append(contentsOf: text)
    }

    /// Appends a text, like `append(utf8: text.utf8)`.
    public mutating func append(utf8 text: some Collection<UInt8>) {
        let isDone: Void? = text.withContiguousStorageIfAvailable { append(utf8: UnsafeRawBufferPointer($0)) }
        guard isDone == nil else { return }
        begin(.text, length: Int32(text.count))
        bytes.append(contentsOf: text)
    }

    /// Appends an `int4`.
    public mutating func append(_ value: Int32) {
        begin(.int4, length: 4)
        put(value)
    }

    /// Appends an `int8`.
    public mutating func append(_ value: Int64) {
        begin(.int8, length: 8)
        put(value)
    }

    /// Appends a `float8`.
    public mutating func append(_ value: Double) {
        begin(.float8, length: 8)
        put(value.bitPattern)
    }

    /// Appends a `timestamptz`, given in microseconds since 1970-01-01 UTC.
    public mutating func append(timestampMicroseconds: Int64) {
        begin(.timestamptz, length: 8)
        put(timestampMicroseconds - Self.epochMicroseconds)
    }

    /// Appends a `timestamptz`, given in whole seconds since 1970-01-01 UTC.
    public mutating func append(unixSeconds: Int64) { append(timestampMicroseconds: unixSeconds * 1_000_000) }

    /// Appends a NULL.
    public mutating func appendNull() {
        patch(1, at: 4)
        count(length: -1)
    }

    /// Empties the array. It keeps the memory by default.
    public mutating func removeAll(keepingCapacity: Bool = true) {
        bytes.removeAll(keepingCapacity: keepingCapacity)
        count = 0
        putHeader()
    }

    /// The array in wire format. It is not copied, since the header is always up to date.
    var encoded: [UInt8] {
        guard count == 0 else { return bytes }
        return [0, 0, 0, 0] + bytes[4..<12]
    }

    private mutating func putHeader() {
        for field in [1, 0, element.oid, 0, 1] { put(field) }
    }

    private mutating func begin(_ type: Element, length: Int32) {
        precondition(type == element, "an element of another type than the array's")
        count(length: length)
    }

    private mutating func count(length: Int32) {
        count += 1
        patch(UInt32(count), at: 12)
        put(length)
    }

    private mutating func put(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func patch(_ value: UInt32, at offset: Int) {
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self) }
    }
}

extension BinaryArray.Element {
    /// The element's OID, as in pg_type.dat.
    var oid: UInt32 {
        switch self {
        case .text: 25
        case .int4: 23
        case .int8: 20
        case .float8: 701
        case .timestamptz: 1184
        }
    }

    /// The array's OID.
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
