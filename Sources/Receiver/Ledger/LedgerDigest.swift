import Readings
package import Spool
import SystemPackage

/// The minute keys of one closed segment, and the newest message of each of its devices.
///
/// It is kept in `ledger/00000017.keys`, so that a start need not read the segment again.
///
/// A digest is derived and not synchronized. If it is missing or torn, or belongs to another file, it is made again
/// from the segment. It holds nothing that the segment does not hold: it is written from durable records only, and used
/// only beside a file of the same length and creation time (invariant 3).
///
///     shelly-ledger 3 <crc32c, 8 hex>\n     checksum of all bytes after this line
///     <length> <spool, 36 bytes> <length> <created> segment, records, file's bytes
///     devices: count, then <length> <name>, Unix seconds of the newest message (8), why it gives no reading (4) each
///     keys: count, then device (4), day × 16 + bits of channels (4), minute of the day / 32 (2), bits of minutes (4) each
///
/// Integers are little-endian, with 8 bytes where no other size is given. Lengths of text have one byte. A digest of an
/// earlier version, which has no newest messages, is made again from its segment.
package struct LedgerDigest: Equatable, Sendable {
    let spool: String
    let segment: Int
    /// When the segment was created, from its header.
    let created: String
    let records: Int
    /// Length of the segment's file.
    let bytes: Int
    let keys: SegmentKeys.Numbered

    private static let title = "shelly-ledger 3 "
    private static let titleBytes = title.utf8.count + 9
    private static let deviceBytes = 53
    private static let keyBytes = 14

    private static func title(of content: ArraySlice<UInt8>) -> [UInt8] {
        Array((title + Checksum.text(of: content) + "\n").utf8)
    }

    var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(
            Self.titleBytes + 256 + keys.devices.count * Self.deviceBytes + keys.deltas.count * Self.keyBytes)
        out.append(contentsOf: repeatElement(0, count: Self.titleBytes))
        func put(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { out.append(contentsOf: $0) }
        }
        func put(text: some Collection<UInt8>) {
            put(UInt8(text.count))
            out.append(contentsOf: text)
        }
        put(text: spool.utf8)
        put(text: created.utf8)
        for number in [segment, records, bytes] { put(Int64(number)) }
        put(Int64(keys.devices.count))
        for (device, last) in zip(keys.devices, keys.lastMessages) {
            put(text: device.utf8)
            put(last.time)
            put(MissingReading.code(of: last.missing))
        }
        put(Int64(keys.deltas.count))
        let start = out.count
        out.append(contentsOf: repeatElement(0, count: keys.deltas.count * Self.keyBytes))
        // The keys are by far most of the digest, so they are not appended byte by byte.
        out.withUnsafeMutableBytes { bytes in
            for (index, delta) in keys.deltas.enumerated() {
                let key = start + index * Self.keyBytes
                bytes.storeBytes(of: delta.device.littleEndian, toByteOffset: key, as: UInt32.self)
                bytes.storeBytes(of: delta.dayAndChannels.littleEndian, toByteOffset: key + 4, as: UInt32.self)
                bytes.storeBytes(of: delta.word.littleEndian, toByteOffset: key + 8, as: UInt16.self)
                bytes.storeBytes(of: delta.minutes.littleEndian, toByteOffset: key + 10, as: UInt32.self)
            }
        }
        out.replaceSubrange(..<Self.titleBytes, with: Self.title(of: out[Self.titleBytes...]))
        return out
    }

    /// nil when the bytes are not a complete digest.
    init?(decoding bytes: [UInt8]) {
        guard bytes.count > Self.titleBytes else { return nil }
        let content = bytes[Self.titleBytes...]
        guard bytes[..<Self.titleBytes].elementsEqual(Self.title(of: content)) else { return nil }
        var position = 0
        func take<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
            let size = MemoryLayout<Value>.size
            guard content.count - position >= size else { return nil }
            defer { position += size }
            return content.withUnsafeBytes {
                Value(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Value.self))
            }
        }
        func takeText() -> ArraySlice<UInt8>? {
            guard let length = take(UInt8.self), content.count - position >= length else { return nil }
            defer { position += Int(length) }
            return content.dropFirst(position).prefix(Int(length))
        }
        func takeCount() -> Int? {
            guard let count = take(Int64.self), 0...Int64(content.count) ~= count else { return nil }
            return Int(count)
        }
        guard let spool = takeText(), let created = takeText(), let segment = take(Int64.self),
            let records = take(Int64.self), let length = take(Int64.self), let deviceCount = takeCount()
        else { return nil }
        var devices: [Readings.DeviceID] = []
        var lastMessages: [LastMessage] = []
        devices.reserveCapacity(deviceCount)
        lastMessages.reserveCapacity(deviceCount)
        for _ in 0..<deviceCount {
            guard let name = takeText(), let device = Readings.DeviceID(spooled: name), let time = take(Int64.self),
                let code = take(UInt32.self), let missing = MissingReading.missing(of: code)
            else { return nil }
            devices.append(device)
            lastMessages.append(LastMessage(time: time, missing: missing))
        }
        guard let deltaCount = takeCount(), content.count - position == deltaCount * Self.keyBytes else { return nil }
        // As many and as small as they are, they are not taken one by one.
        let deltas = content.dropFirst(position).withUnsafeBytes { bytes in
            (0..<deltaCount).map { index in
                func load<Value: FixedWidthInteger>(_ offset: Int, _ type: Value.Type) -> Value {
                    Value(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: index * Self.keyBytes + offset, as: type))
                }
                return SegmentKeys.Delta(
                    device: load(0, UInt32.self), dayAndChannels: load(4, UInt32.self), word: load(8, UInt16.self),
                    minutes: load(10, UInt32.self))
            }
        }
        guard deltas.allSatisfy({ $0.device < deviceCount && $0.word < PagePool.words }) else { return nil }
        self.spool = String(decoding: spool, as: UTF8.self)
        self.created = String(decoding: created, as: UTF8.self)
        self.segment = Int(segment)
        self.records = Int(records)
        self.bytes = Int(length)
        keys = SegmentKeys.Numbered(devices: devices, lastMessages: lastMessages, deltas: deltas)
    }

    package init(
        spool: String, segment: Int, created: String, records: Int, bytes: Int, keys: SegmentKeys.Numbered
    ) {
        self.spool = spool
        self.segment = segment
        self.created = created
        self.records = records
        self.bytes = bytes
        self.keys = keys
    }
}

extension MissingReading {
    /// The bytes of no reason at all.
    private static let given: UInt32 = .max
    private static let noNumber: UInt32 = 0xFFFF
    private static let noType: UInt32 = 0xFF

    /// The number of the component (2 bytes), the place of its type among all types (1), and the reason (1).
    fileprivate static func code(of missing: MissingReading?) -> UInt32 {
        guard let missing else { return given }
        let type = missing.component.flatMap { UntakenComponent.ComponentType.allCases.firstIndex(of: $0) }
        return UInt32(missing.reason.rawValue) << 24 | (type.map { UInt32($0) } ?? noType) << 16
            | (missing.number.map { UInt32($0) } ?? noNumber)
    }

    /// nil when the bytes are not such a code; the reason inside may be nil.
    fileprivate static func missing(of code: UInt32) -> MissingReading?? {
        if code == given { return .some(nil) }
        let types = UntakenComponent.ComponentType.allCases
        let (type, number) = (code >> 16 & 0xFF, code & 0xFFFF)
        guard let reason = Reason(rawValue: UInt8(code >> 24)), type == noType || type < types.count else { return nil }
        return MissingReading(
            reason, type == noType ? nil : types[Int(type)], number: number == noNumber ? nil : UInt16(number))
    }
}

extension SpoolDirectory {
    /// The digest of a segment, if there is one that belongs to exactly this file.
    func digest(of segment: Segment, _ file: any DiskFile) throws(Errno) -> LedgerDigest? {
        guard let bytes = try? contents(of: digestPath(segment.number)), let digest = LedgerDigest(decoding: bytes),
            try isDigest(digest, of: segment, file)
        else { return nil }
        return digest
    }

    /// Whether a digest belongs to exactly this file.
    func isDigest(_ digest: LedgerDigest, of segment: Segment, _ file: any DiskFile) throws(Errno) -> Bool {
        guard digest.spool == identity, digest.segment == segment.number, digest.bytes == (try file.size()),
            let header = try file.segmentHeader()
        else { return false }
        return header.created == digest.created && header.segment == segment.number && header.spool == identity
    }

    /// Writes a segment's digest. Errors are ignored: without the digest a start only takes longer.
    package func write(_ digest: LedgerDigest) {
        write(digest.encoded, to: digestPath(digest.segment))
    }

    func write(_ bytes: [UInt8], to path: FilePath) {
        try? disk.remove(path)
        guard let file = try? disk.create(path) else { return }
        try? file.writeAll(bytes[...], at: 0)
    }

    /// Removes the digests of segments before `oldest`, and the merged ones that begin with such a segment.
    package func removeDigests(before oldest: Int) {
        for name in (try? disk.names(in: ledger)) ?? [] {
            guard let number = Int(name.prefix { $0 != "." && $0 != "-" }), number < oldest else { continue }
            try? disk.remove(ledger.appending(name))
        }
    }

    func digestPath(_ number: Int) -> FilePath {
        ledger.appending(SpoolPosition.digits(number) + ".keys")
    }
}
