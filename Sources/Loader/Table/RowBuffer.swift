import Glibc
import Readings

/// Readings for one statement, about 80 bytes each, without an allocation per reading.
final class RowBuffer {
    /// A reading. The buffer holds its key's bytes, which begin with the device's name.
    struct Row {
        fileprivate let keyStart: UInt32
        fileprivate let keyLength: UInt8
        fileprivate let deviceLength: UInt8
        let channel: UInt8
        private let present: UInt8
        /// Number of its record in the segment, from 1.
        let record: UInt32
        /// Index of the message in its record.
        let message: UInt16
        /// Unix seconds.
        let timestamp: Int64
        let power: Double
        private let volts: Double
        private let amperes: Double

        /// Minutes since 1970, as in the key.
        var minute: Int64 { timestamp / 60 }
        var voltage: Double? { present & 1 != 0 ? volts : nil }
        var current: Double? { present & 2 != 0 ? amperes : nil }

        fileprivate init(_ reading: Reading, key: Range<Int>, deviceLength: Int, record: Int) {
            keyStart = UInt32(key.lowerBound)
            keyLength = UInt8(key.count)
            self.deviceLength = UInt8(deviceLength)
            channel = UInt8(reading.channel)
            present = (reading.voltage == nil ? 0 : 1) | (reading.current == nil ? 0 : 2)
            self.record = UInt32(clamping: record)
            message = UInt16(reading.message)
            timestamp = reading.timestamp
            power = reading.power
            volts = reading.voltage ?? 0
            amperes = reading.current ?? 0
        }
    }

    private(set) var rows: [Row] = []
    private var keys: [UInt8] = []
    private var places: [(record: Int, offset: Int)] = []
    /// The result of `sorted` for the present rows; empty until it is called.
    private var order: [Int32] = []

    var count: Int { rows.count }
    var isEmpty: Bool { rows.isEmpty }

    /// Appends a reading. `record` is the number of its record in the segment.
    ///
    /// - Parameter keyMinute: minute of the key, if it is not that of the reading.
    func append(_ reading: Reading, of device: DeviceID, record: Int, keyMinute: Int64? = nil) {
        let start = keys.count
        IdempotencyKey.append(
            device: device, channel: reading.channel, minute: keyMinute ?? reading.minute, to: &keys)
        rows.append(
            Row(reading, key: start..<keys.count, deviceLength: device.utf8.count, record: record))
    }

    /// Stores the byte offset in the segment of the next rows' record.
    func beginRecord(_ record: Int, at offset: Int) { places.append((record, offset)) }

    /// The stored byte offset of a record.
    func offset(ofRecord record: Int) -> Int? {
        // Offsets are stored in the order of the record numbers.
        let index = places.partitioningIndex { $0.record >= record }
        return index < places.count && places[index].record == record ? places[index].offset : nil
    }

    /// Empties the buffer and keeps its memory.
    func removeAll() {
        rows.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        order.removeAll()
    }

    /// The rows' indices in the order of their keys' bytes. Rows with equal keys stay in the order of appending.
    ///
    /// Sorted rows fill the unique index page by page, and two loaders cannot deadlock on them.
    func sorted() -> [Int32] {
        guard order.count != rows.count else { return order }
        order = (0..<Int32(rows.count)).map { $0 }
        keys.withUnsafeBytes { keys in
            rows.withUnsafeBufferPointer { rows in
                order.sort { a, b in
                    let comparison = Self.compare(rows[Int(a)], rows[Int(b)], keys)
                    return comparison != 0 ? comparison < 0 : a < b
                }
            }
        }
        return order
    }

    func haveSameKey(_ a: Int32, _ b: Int32) -> Bool {
        keys.withUnsafeBytes { Self.compare(rows[Int(a)], rows[Int(b)], $0) == 0 }
    }

    /// Runs `body` on the bytes of a row's key.
    func withKey<R>(of row: Row, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try keys.withUnsafeBytes { keys in
            try body(UnsafeRawBufferPointer(rebasing: keys[Int(row.keyStart)...].prefix(Int(row.keyLength))))
        }
    }

    /// Runs `body` on the bytes of a row's device.
    func withDevice<R>(of row: Row, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try keys.withUnsafeBytes { keys in
            try body(UnsafeRawBufferPointer(rebasing: keys[Int(row.keyStart)...].prefix(Int(row.deviceLength))))
        }
    }

    private static func compare(_ a: Row, _ b: Row, _ keys: UnsafeRawBufferPointer) -> Int {
        guard let base = keys.baseAddress else { return 0 }
        let shorter = Int(min(a.keyLength, b.keyLength))
        let order = memcmp(base + Int(a.keyStart), base + Int(b.keyStart), shorter)
        return order != 0 ? Int(order) : Int(a.keyLength) - Int(b.keyLength)
    }
}

extension Array {
    /// The first index for which `predicate` holds. The array must be partitioned by `predicate`.
    fileprivate func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
