package import Readings
package import Spool
import SystemPackage

/// The minute keys of one closed segment.
///
/// It is kept in `ledger/00000017.keys`, so that a start need not read the segment again.
///
/// A digest is derived and not synchronized. If it is missing or torn, or belongs to another file, it is made again
/// from the segment. It holds nothing that the segment does not hold: it is written from durable records only, and used
/// only beside a file of the same length and creation time (invariant 3).
///
///     shelly-ledger 2 <crc32c, 8 hex>\n     checksum of all bytes after this line
///     <length> <spool, 36 bytes> <length> <created> segment, records, file's bytes
///     devices: count, then <length> <name> each
///     keys: count, then device (4), day × 16 + bits of channels (4), minute of the day / 32 (2), bits of minutes (4) each
///
/// Version 1 has day × 4 + channel instead. Integers are little-endian, with 8 bytes where no other size is given. Lengths of text have one byte.
package struct LedgerDigest: Equatable, Sendable {
    let spool: String
    let segment: Int
    /// When the segment was created, from its header.
    let created: String
    let records: Int
    /// Length of the segment's file.
    let bytes: Int
    let devices: [Readings.DeviceID]
    let deltas: [SegmentKeys.Delta]

    private static let title = "shelly-ledger 2 "
    private static let olderTitle = "shelly-ledger 1 "
    private static let titleBytes = title.utf8.count + 9
    private static let keyBytes = 14

    private static func title(_ title: String, of content: ArraySlice<UInt8>) -> [UInt8] {
        Array((title + Checksum.text(of: content) + "\n").utf8)
    }

    var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(Self.titleBytes + 256 + devices.count * 40 + deltas.count * Self.keyBytes)
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
        put(Int64(devices.count))
        for device in devices { put(text: device.utf8) }
        put(Int64(deltas.count))
        let keys = out.count
        out.append(contentsOf: repeatElement(0, count: deltas.count * Self.keyBytes))
        // The keys are by far most of the digest, so they are not appended byte by byte.
        out.withUnsafeMutableBytes { bytes in
            for (index, delta) in deltas.enumerated() {
                let key = keys + index * Self.keyBytes
                bytes.storeBytes(of: delta.device.littleEndian, toByteOffset: key, as: UInt32.self)
                bytes.storeBytes(of: delta.dayAndChannels.littleEndian, toByteOffset: key + 4, as: UInt32.self)
                bytes.storeBytes(of: delta.word.littleEndian, toByteOffset: key + 8, as: UInt16.self)
                bytes.storeBytes(of: delta.minutes.littleEndian, toByteOffset: key + 10, as: UInt32.self)
            }
        }
        out.replaceSubrange(..<Self.titleBytes, with: Self.title(Self.title, of: out[Self.titleBytes...]))
        return out
    }

    /// nil when the bytes are not a complete digest.
    init?(decoding bytes: [UInt8]) {
        guard bytes.count > Self.titleBytes else { return nil }
        let content = bytes[Self.titleBytes...]
        let isOlder = bytes.starts(with: Self.olderTitle.utf8)
        let title = Self.title(isOlder ? Self.olderTitle : Self.title, of: content)
        guard bytes[..<Self.titleBytes].elementsEqual(title) else { return nil }
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
        devices.reserveCapacity(deviceCount)
        for _ in 0..<deviceCount {
            guard let name = takeText(), let device = Readings.DeviceID(spooled: name) else { return nil }
            devices.append(device)
        }
        guard let deltaCount = takeCount() else { return nil }
        var deltas: [SegmentKeys.Delta] = []
        deltas.reserveCapacity(deltaCount)
        for _ in 0..<deltaCount {
            guard let device = take(UInt32.self), device < deviceCount, let day = take(UInt32.self),
                let word = take(UInt16.self), word < PagePool.words, let minutes = take(UInt32.self)
            else { return nil }
            let dayAndChannels = isOlder ? (day >> 2) << 4 | 1 << (day & 3) : day
            deltas.append(
                SegmentKeys.Delta(device: device, dayAndChannels: dayAndChannels, word: word, minutes: minutes))
        }
        guard position == content.count else { return nil }
        self.spool = String(decoding: spool, as: UTF8.self)
        self.created = String(decoding: created, as: UTF8.self)
        self.segment = Int(segment)
        self.records = Int(records)
        self.bytes = Int(length)
        self.devices = devices
        self.deltas = deltas
    }

    package init(
        spool: String, segment: Int, created: String, records: Int, bytes: Int,
        keys: (devices: [Readings.DeviceID], deltas: [SegmentKeys.Delta])
    ) {
        self.spool = spool
        self.segment = segment
        self.created = created
        self.records = records
        self.bytes = bytes
        devices = keys.devices
        deltas = keys.deltas
    }
}

extension SpoolDirectory {
    /// The digest of a segment, if there is one that belongs to exactly this file.
    func digest(of segment: Segment, _ file: any DiskFile) throws(Errno) -> LedgerDigest? {
        guard let bytes = try? contents(of: digestPath(segment.number)), let digest = LedgerDigest(decoding: bytes),
            digest.spool == identity, digest.segment == segment.number, digest.bytes == (try file.size()),
            let header = try file.segmentHeader(), header.created == digest.created, header.segment == segment.number,
            header.spool == identity
        else { return nil }
        return digest
    }

    /// Writes a segment's digest. Errors are ignored: without the digest a start only takes longer.
    package func write(_ digest: LedgerDigest) {
        let path = digestPath(digest.segment)
        try? disk.remove(path)
        guard let file = try? disk.create(path) else { return }
        digest.encoded.withUnsafeBytes { bytes in _ = try? file.writeAll(bytes, at: 0) }
    }

    /// Removes the digests of segments before `oldest`.
    package func removeDigests(before oldest: Int) {
        for name in (try? disk.names(in: ledger)) ?? [] {
            if let number = Int(name.prefix { $0 != "." }), number < oldest { try? disk.remove(ledger.appending(name)) }
        }
    }

    private func digestPath(_ number: Int) -> FilePath {
        ledger.appending(SpoolPosition.digits(number) + ".keys")
    }
}
