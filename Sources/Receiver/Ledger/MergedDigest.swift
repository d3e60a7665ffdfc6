import Readings
package import Spool
import SystemPackage

/// The digests of adjacent segments in one file, so that a start reads few files however many segments are retained.
///
/// It is kept in `ledger/00000001-00000016.keys`. A device's day is in the digest of the last segment with a key of that
/// day, and in no other, so the whole is hardly larger than the digest of one segment. When segments 1 to 16 have their
/// digests, these are merged; when there are 16 such files, from segment 1 to 256, these are merged too.
///
/// Like a digest, a merged one is derived and not synchronized. It is used only beside exactly the segments of which it
/// was made, since a key in it may be of any of them (invariant 3). It is made beside the files that it merges, which
/// serve a start that cannot use it.
///
///     <length> <digest> for each segment    length of 8 bytes, little-endian
struct MergedDigest: Sendable {
    /// Sorted by segment. A single one may lack keys of its segment, which a later one has.
    let digests: [LedgerDigest]

    /// - Parameter digests: of adjacent segments, by number; merged ones in the order of their ranges.
    init(merging digests: [LedgerDigest]) {
        var ledger = MinuteLedger()
        for digest in digests { ledger.restore(digest.keys, in: digest.segment) }
        let keys = ledger.keysByLastSegment()
        self.digests = digests.map { digest in
            LedgerDigest(
                spool: digest.spool, segment: digest.segment, created: digest.created, records: digest.records,
                bytes: digest.bytes, keys: keys[digest.segment] ?? .init(devices: [], lastMessages: [], deltas: []))
        }
    }

    /// nil when the bytes are not complete digests of different segments.
    init?(decoding bytes: [UInt8]) {
        var digests: [LedgerDigest] = []
        var position = 0
        while position < bytes.count {
            let start = position + MemoryLayout<UInt64>.size
            guard start <= bytes.count else { return nil }
            let length = bytes.withUnsafeBytes {
                UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            }
            guard length <= UInt64(bytes.count - start) else { return nil }
            position = start + Int(length)
            guard let digest = LedgerDigest(decoding: Array(bytes[start..<position])) else { return nil }
            if let last = digests.last, last.segment >= digest.segment { return nil }
            digests.append(digest)
        }
        self.digests = digests
    }

    var encoded: [UInt8] {
        digests.reduce(into: []) { bytes, digest in
            let encoded = digest.encoded
            withUnsafeBytes(of: UInt64(encoded.count).littleEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: encoded)
        }
    }
}

extension SpoolDirectory {
    /// A merge of larger digests than this, in bytes, would take too much memory beside the ledger's own.
    private static let largestMerge = 256 << 20
    /// A stop waits for the merges of one call.
    private static let mergesOfACall = 4

    /// The merged digest of a range; nil when there is none, or when it is torn.
    func mergedDigest(_ range: DigestRange) -> MergedDigest? {
        (try? contents(of: ledger.appending(range.fileName))).flatMap(MergedDigest.init(decoding:))
    }

    /// Removes a merged digest that cannot be used, so that it is made anew.
    func removeMergedDigest(_ range: DigestRange) { try? disk.remove(ledger.appending(range.fileName)) }

    /// Merges the digests of some ranges whose segments are all closed and retained; more calls do the rest. Errors are
    /// ignored: without merged digests a start only takes longer.
    package func mergeDigests() {
        guard let all = try? segments(), let oldest = oldest(of: all)?.number, let newest = all.last?.number,
            let names = try? Set(disk.names(in: ledger))
        else { return }
        let missing = (oldest...newest).flatMap { DigestRange.all(from: $0) }.filter {
            $0.numbers.upperBound <= newest && !names.contains($0.fileName)
        }
        let segments = all.map(\.number)
        var merges = 0
        // Small ranges first, since the larger ones are merged from them.
        for range in missing.sorted(by: { $0.numbers.count < $1.numbers.count }) where merges < Self.mergesOfACall {
            if merge(range, of: segments.filter(range.numbers.contains)) { merges += 1 }
        }
    }

    /// Returns whether the range has a merged digest now.
    private func merge(_ range: DigestRange, of segments: [Int]) -> Bool {
        let paths = range.parts?.map { ledger.appending($0.fileName) } ?? segments.map(digestPath)
        guard let sizes = try? paths.map({ try disk.size(of: $0) }), sizes.reduce(0, +) <= Self.largestMerge else {
            return false
        }
        let digests =
            range.parts.map { $0.flatMap { mergedDigest($0)?.digests ?? [] } }
            ?? paths.compactMap { (try? contents(of: $0)).flatMap(LedgerDigest.init(decoding:)) }
        guard !segments.isEmpty, digests.map(\.segment) == segments else { return false }
        write(MergedDigest(merging: digests).encoded, to: ledger.appending(range.fileName))
        return true
    }
}
