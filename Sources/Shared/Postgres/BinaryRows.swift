/// Rows in the binary format of `COPY`, built without an allocation for each value.
///
/// The format is in PostgreSQL's manual under `COPY`, "Binary Format". Integers are big-endian:
///
///     0                                 11          15          19
///     ┌─────────────────────────────────┬───────────┬───────────┬─────────────┬───────────────────────┬───┬─────────┐
///     │ `PGCOPY`, LF, 255, CR, LF, 0    │ flags: 0  │ extra: 0  │ 2: number   │ 4: length, -1 if NULL │ … │ 2: -1   │
///     │                                 │           │           │ of columns  │ and the value's bytes │   │         │
///     └─────────────────────────────────┴───────────┴───────────┴─────────────┴───────────────────────┴───┴─────────┘
///
/// A value has to be of its column's own type: the server casts nothing, and reads the bytes of another type as they are.
public struct BinaryRows: Sendable {
    private var bytes: [UInt8] = []

    /// Begins with no rows, and memory for so many bytes.
    public init(reserving capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
        bytes += Array("PGCOPY\n".utf8) + [255, 13, 10, 0]
        put(Int32(0))
        put(Int32(0))
    }

    /// Begins a row. So many values are to follow.
    public mutating func beginRow(columns: Int16) { put(columns) }

    /// Appends a text. PostgreSQL refuses a NUL in it, and bytes that are not UTF-8, with 22021.
    public mutating func append(utf8 text: UnsafeRawBufferPointer) {
        put(Int32(text.count))
        bytes.append(contentsOf: text)
    }

    /// Appends an `int4`.
    public mutating func append(_ value: Int32) {
        put(Int32(4))
        put(value)
    }

    /// Appends a `float8`, or NULL.
    public mutating func append(_ value: Double?) {
        guard let value else { return put(Int32(-1)) }
        put(Int32(8))
        put(value.bitPattern)
    }

    /// Appends a `timestamptz`, given in whole seconds since 1970-01-01 UTC.
    public mutating func append(unixSeconds: Int64) {
        put(Int32(8))
        put(unixSeconds * 1_000_000 - BinaryArray.epochMicroseconds)
    }

    /// The rows with the format's end.
    public consuming func finished() -> [UInt8] {
        put(Int16(-1))
        return bytes
    }

    private mutating func put(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
