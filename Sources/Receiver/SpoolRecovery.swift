import Dispatch
import Logging
import Readings
import Spool
import Synchronization

/// What a start learns from the spool: the ledger of its keys, and what it holds.
struct SpoolRecovery {
    private(set) var ledger = MinuteLedger()
    /// Records of each segment by its number.
    private(set) var records: [Int: Int] = [:]
    /// The highest segment number, 0 for a new spool.
    private(set) var newest = 0
    /// Segments that could not be read; their keys are unknown.
    private(set) var unreadable: [Int] = []

    /// Reads every retained segment, or its digest. Its bytes are made durable before anything is concluded from them
    /// (invariant 3).
    init(of directory: SpoolDirectory, logger: Logger) throws {
        try directory.synchronize()
        let decoder = BatchDecoder()
        precondition(BatchDecoder.padding <= SegmentReader.padding)
        let segments = try directory.segments()
        newest = segments.map(\.number).max() ?? 0
        var next = segments.first.map { DigestLookup(of: $0, in: directory) }
        for (index, segment) in segments.enumerated() {
            let lookup = next
            let following = segments.dropFirst(index + 1).first
            do throws(SpoolError) {
                if let digest = try lookup?.result() {
                    // While its keys are set the next one is read.
                    next = following.map { DigestLookup(of: $0, in: directory) }
                    records[segment.number] = digest.records
                    ledger.restore(digest.deltas, of: digest.devices, in: segment.number)
                    continue
                }
                try read(segment, of: directory, with: decoder, logger)
            } catch {
                unreadable.append(segment.number)
                // One bad file keeps nobody out. Its keys count as new when they come again; the database knows better.
                logger.error(
                    "segment \(SpoolPosition.digits(segment.number)) cannot be read, its keys are unknown: \(error)")
            }
            next = following.map { DigestLookup(of: $0, in: directory) }
        }
    }

    private mutating func read(
        _ segment: SpoolDirectory.Segment, of directory: SpoolDirectory, with decoder: BatchDecoder, _ logger: Logger
    ) throws(SpoolError) {
        let file = try directory.openAsOnDisk(segment)
        let reader = try SegmentReader(file, path: segment.path)
        var created = ""
        while let event = try reader.next() {
            switch event {
            case .record(let record):
                records[segment.number, default: 0] += 1
                // What the receiver took once decodes again; a record that does not is the loader's to report.
                guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { continue }
                var claims = MinuteLedger.Claims()
                _ = ledger.claim(batch, in: segment.number, noting: &claims)
            case .damage(let damage):
                logger.warning(
                    "damage in the spool; good records around it are kept",
                    metadata: [
                        "file": "\(segment.path)", "bytes": "\(damage.range)", "reason": "\(damage.reason)",
                    ])
            case .header(let header): created = header.created
            case .footer, .tornTail: break
            }
        }
        // Nobody writes to it any more, and it is durable as it was read: the next start has it easier.
        guard let keys = ledger.keys(of: segment.number) else { return }
        directory.write(
            LedgerDigest(
                spool: directory.identity, segment: segment.number, created: created,
                records: records[segment.number] ?? 0, bytes: reader.end, keys: keys))
    }
}

/// The digest of a segment, which another thread reads.
private final class DigestLookup: Sendable {
    private let found = Mutex<Result<LedgerDigest?, SpoolError>?>(nil)
    private let isOver = DispatchSemaphore(value: 0)

    init(of segment: SpoolDirectory.Segment, in directory: SpoolDirectory) {
        DispatchQueue.global().async { [self] in
            let result = Result { () throws(SpoolError) in
                // The segment first: of one that is not on the disk a digest proves nothing.
                let file = try directory.openAsOnDisk(segment)
                return try? directory.digest(of: segment, file)
            }
            found.withLock { $0 = result }
            isOver.signal()
        }
    }

    /// Waits for it: nil when there is none of exactly this segment; throws when the segment cannot be read.
    func result() throws(SpoolError) -> LedgerDigest? {
        isOver.wait()
        guard let result = found.withLock({ $0 }) else { return nil }
        return try result.get()
    }
}
