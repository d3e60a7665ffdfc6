import CLinux
import Dispatch
package import Logging
package import Spool

/// The state that a start reads from the spool: the ledger of its keys, and the records that it holds.
package struct SpoolRecovery {
    package private(set) var ledger = MinuteLedger()
    /// Records of each segment by its number.
    package private(set) var records: [Int: Int] = [:]
    /// The highest segment number, 0 for a new spool.
    package private(set) var newest = 0
    /// Segments that could not be read to their end; their unread keys are unknown.
    package private(set) var unreadable: [Int] = []

    /// Reads the digest of every retained segment, or the segment itself.
    ///
    /// A segment's bytes are made durable before anything is concluded from them (invariant 3).
    ///
    /// - Parameter readers: how many segments are read at the same time, while the keys of earlier ones are set. Each
    ///   reader takes some megabytes.
    package init(of directory: SpoolDirectory, logger: Logger, readers: Int = 2) throws {
        try directory.synchronize()
        let segments = try directory.segments()
        newest = segments.map(\.number).max() ?? 0
        // Each queue has its own thread. A digest is also released on the queue that read it.
        let queues = (0..<readers).map { DispatchQueue(label: "segments \($0)") }
        var lookups: [Int: SegmentLookup] = [:]
        func begin(_ index: Int, on queue: DispatchQueue) {
            guard segments.indices.contains(index), lookups[index] == nil else { return }
            lookups[index] = SegmentLookup(of: segments[index], in: directory, logger, on: queue)
        }
        // The last segment takes longest, because after a kill it has no digest. So it starts first.
        begin(segments.count - 1, on: readers > 1 ? DispatchQueue(label: "last segment") : queues[0])
        for index in 0..<readers { begin(index, on: queues[index]) }
        for (index, segment) in segments.enumerated() {
            let queue = queues[index % readers]
            let (digest, error) = lookups.removeValue(forKey: index)!.result()
            begin(index + readers, on: queue)
            if let digest {
                if digest.records > 0 { records[segment.number] = digest.records }
                ledger.restore(digest.keys, in: segment.number)
                queue.async { withExtendedLifetime(digest) {} }
            }
            if let error {
                unreadable.append(segment.number)
                // One bad file does not stop the start. Its keys count as new when they arrive again; only the database
                // recognizes them.
                logger.error(
                    "segment \(SpoolPosition.digits(segment.number)) cannot be read, its keys are unknown: \(error)")
            }
        }
        // Return the memory of the reads to the system; it is not needed again.
        for queue in queues { queue.sync {} }
        malloc_trim(0)
    }
}
