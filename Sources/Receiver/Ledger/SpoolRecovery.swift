import CLinux
import Dispatch
import Logging
import NIOCore
import Readings
import Spool

/// What a start learns from the spool: the ledger of its keys, and what it holds.
struct SpoolRecovery {
    private(set) var ledger = MinuteLedger()
    /// Records of each segment by its number.
    private(set) var records: [Int: Int] = [:]
    /// The highest segment number, 0 for a new spool.
    private(set) var newest = 0
    /// Segments that could not be read to their end; keys of them are unknown.
    private(set) var unreadable: [Int] = []

    /// Reads the digest of every retained segment, or the segment. Its bytes are made durable before anything is concluded
    /// from them (invariant 3).
    ///
    /// - Parameter readers: how many segments are read at a time, while the keys of those before them are set; each takes
    ///   some megabytes.
    init(of directory: SpoolDirectory, logger: Logger, readers: Int = min(System.coreCount, 4)) throws {
        try directory.synchronize()
        let segments = try directory.segments()
        newest = segments.map(\.number).max() ?? 0
        // Queues of their own, each with a thread; what one has read is let go of by it as well.
        let queues = (0..<readers).map { DispatchQueue(label: "segments \($0)") }
        var lookups: [Int: SegmentLookup] = [:]
        func begin(_ index: Int, on queue: DispatchQueue) {
            guard segments.indices.contains(index), lookups[index] == nil else { return }
            lookups[index] = SegmentLookup(of: segments[index], in: directory, logger, on: queue)
        }
        // The last one takes the longest, as nobody has digested it after a kill, and so it begins first.
        begin(segments.count - 1, on: readers > 1 ? DispatchQueue(label: "last segment") : queues[0])
        for index in 0..<readers { begin(index, on: queues[index]) }
        for (index, segment) in segments.enumerated() {
            let queue = queues[index % readers]
            let (digest, error) = lookups.removeValue(forKey: index)!.result()
            begin(index + readers, on: queue)
            if let digest {
                if digest.records > 0 { records[segment.number] = digest.records }
                ledger.restore(digest.deltas, of: digest.devices, in: segment.number)
                queue.async { withExtendedLifetime(digest) {} }
            }
            if let error {
                unreadable.append(segment.number)
                // One bad file keeps nobody out. Its keys count as new when they come again; the database knows better.
                logger.error(
                    "segment \(SpoolPosition.digits(segment.number)) cannot be read, its keys are unknown: \(error)")
            }
        }
        // What the reading took, which will not be needed again, is the system's.
        for queue in queues { queue.sync {} }
        malloc_trim(0)
    }
}
