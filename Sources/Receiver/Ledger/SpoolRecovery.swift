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

    /// Reads the digests of all retained segments, merged ones where there are, or the segments themselves.
    ///
    /// A segment's bytes are made durable before anything is concluded from them (invariant 3).
    ///
    /// - Parameter readers: how many lookups run at the same time, while the keys of earlier ones are set. Each takes
    ///   some megabytes.
    package init(of directory: SpoolDirectory, logger: Logger, readers: Int = 2) throws {
        try directory.synchronize()
        let segments = try directory.segments()
        newest = segments.map(\.number).max() ?? 0
        let subjects = Self.subjects(of: segments, in: directory)
        // Each queue has its own thread. A digest is also released on the queue that read it.
        let queues = (0..<readers).map { DispatchQueue(label: "segments \($0)") }
        var lookups: [Int: SegmentLookup] = [:]
        func begin(_ index: Int, on queue: DispatchQueue) {
            guard subjects.indices.contains(index), lookups[index] == nil else { return }
            lookups[index] = SegmentLookup(of: subjects[index], in: directory, logger, on: queue)
        }
        // The last segment takes longest, because after a kill it has no digest. So it starts first.
        begin(subjects.count - 1, on: readers > 1 ? DispatchQueue(label: "last segment") : queues[0])
        for index in 0..<readers { begin(index, on: queues[index]) }
        for index in subjects.indices {
            let queue = queues[index % readers]
            let lookup = lookups.removeValue(forKey: index)!
            let content = lookup.result()
            begin(index + readers, on: queue)
            add(content, of: lookup.subject, on: queue, in: directory, logger)
        }
        // Return the memory of the reads to the system; it is not needed again.
        for queue in queues { queue.sync {} }
        malloc_trim(0)
    }

    /// Sets the keys that a lookup found; looks up the segments one by one when their merged digest cannot be used.
    private mutating func add(
        _ content: SegmentLookup.Content, of subject: SegmentLookup.Subject, on queue: DispatchQueue,
        in directory: SpoolDirectory, _ logger: Logger
    ) {
        switch (content, subject) {
        case (.found(let digests, let error), _):
            for digest in digests {
                if digest.records > 0 { records[digest.segment] = digest.records }
                ledger.restore(digest.keys, in: digest.segment)
            }
            queue.async { withExtendedLifetime(digests) {} }
            if case .segment(let segment) = subject, let error {
                unreadable.append(segment.number)
                // One bad file does not stop the start. Its keys count as new when they arrive again; only the database
                // recognizes them.
                logger.error(
                    "segment \(SpoolPosition.digits(segment.number)) cannot be read, its keys are unknown: \(error)")
            }
        case (.notMerged, .merged(let range, let segments)):
            directory.removeMergedDigest(range)
            for smaller in Self.subjects(of: segments, in: directory, below: range.numbers.count) {
                let lookup = SegmentLookup(of: smaller, in: directory, logger, on: queue)
                add(lookup.result(), of: smaller, on: queue, in: directory, logger)
            }
        case (.notMerged, .segment): break
        }
    }

    /// The segments by the largest ranges that have a merged digest.
    private static func subjects(
        of segments: [SpoolDirectory.Segment], in directory: SpoolDirectory, below limit: Int = .max
    ) -> [SegmentLookup.Subject] {
        let names = Set((try? directory.disk.names(in: directory.ledger)) ?? [])
        var subjects: [SegmentLookup.Subject] = []
        var rest = segments[...]
        while let first = rest.first {
            let range = DigestRange.all(from: first.number).first {
                $0.numbers.count < limit && names.contains($0.fileName)
            }
            guard let range else {
                subjects.append(.segment(first))
                rest.removeFirst()
                continue
            }
            let inRange = rest.prefix { range.numbers.contains($0.number) }
            subjects.append(.merged(range, Array(inRange)))
            rest.removeFirst(inRange.count)
        }
        return subjects
    }
}
