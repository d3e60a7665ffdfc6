public import SystemPackage
public import Time

/// How long a spool keeps fully loaded segments.
///
/// A segment's age is the time from its creation to the creation of the newest segment, or to the present if that is
/// earlier. So no segment expires while no data arrives, and a single wrong clock, the receiver's or the loader's,
/// removes nothing. Segments are removed in the order of their numbers, even if a clock that was set back or forward
/// has written other creation times into them.
public struct Retention: Sendable {
    /// A segment that was created longer ago than this is removed.
    public var age: Duration
    /// If the loaded segments' files together have more bytes than this, the oldest are removed. nil means no limit.
    public var bytes: Int?

    public init(age: Duration, bytes: Int? = nil) {
        self.age = age
        self.bytes = bytes
    }

    /// A loaded segment.
    struct Candidate {
        let number: Int
        let created: Timestamp
        let bytes: Int
    }

    /// The numbers of the segments to remove, the oldest first.
    ///
    /// - Parameter end: the time at which ages are measured.
    func expired(_ candidates: [Candidate], end: Timestamp) -> [Int] {
        let oldestKept = end - age
        var excess = bytes.map { limit in candidates.reduce(0) { $0 + $1.bytes } - limit } ?? 0
        // A lower segment number never gets a later creation time.
        var newestFirst: [(candidate: Candidate, created: Timestamp)] = []
        for candidate in candidates.sorted(by: { $0.number > $1.number }) {
            let next = newestFirst.last?.created ?? candidate.created
            newestFirst.append((candidate, min(next, candidate.created)))
        }
        return newestFirst.reversed().prefix { candidate, created in
            defer { excess -= candidate.bytes }
            return created < oldestKept || excess > 0
        }.map(\.candidate.number)
    }
}

extension SpoolDirectory {
    /// The result of pruning.
    public struct Pruned: Sendable, Equatable {
        /// Numbers of the removed segments, the oldest first.
        public var segments: [Int] = []
        /// Their bytes.
        public var bytes = 0
        /// Expired files that were kept because they are damaged. A person should examine them (invariant 7).
        public var damaged: [FilePath] = []
    }

    /// Removes loaded segments that `retention` no longer keeps.
    ///
    /// The segment with the highest number is never removed, regardless of its age, so that numbers never repeat
    /// (invariant 4).
    /// - Parameters:
    ///   - now: the present.
    ///   - dryRun: whether to list the segments without removing them.
    ///   - isLoaded: whether the database has all of a segment. Its place in `loaded/` is not sufficient: the database
    ///     may have been restored from a backup since (invariant 6).
    public func prune(
        _ retention: Retention, now: Timestamp, dryRun: Bool = false, isLoaded: (SegmentHeader) -> Bool
    ) throws(SpoolError) -> Pruned {
        let segments = try segments()
        var newest: Timestamp?
        var candidates: [Retention.Candidate] = []
        for segment in segments {
            // It is gone if it was compressed after it was listed.
            let present = try diskIfPresent("read", segment.path) { () throws(Errno) in
                (header: try disk.openSegment(segment.path).segmentHeader(), bytes: try disk.size(of: segment.path))
            }
            guard let present, let header = present.header, let created = header.createdAt, header.spool == identity,
                header.segment == segment.number
            else { continue }
            newest = created
            guard segment.isLoaded, segment.number != segments.last?.number, isLoaded(header) else { continue }
            candidates.append(Retention.Candidate(number: segment.number, created: created, bytes: present.bytes))
        }
        guard let newest else { return Pruned() }
        return try remove(retention.expired(candidates, end: min(now, newest)), of: segments, dryRun: dryRun)
    }

    private func remove(_ numbers: [Int], of segments: [Segment], dryRun: Bool) throws(SpoolError) -> Pruned {
        var pruned = Pruned()
        let expired = Set(numbers)
        for segment in segments where expired.contains(segment.number) {
            let present = try diskIfPresent("open", segment.path) { () throws(Errno) in
                (file: try disk.openSegment(segment.path), bytes: try disk.size(of: segment.path))
            }
            guard let present else { continue }
            guard try SegmentReader(present.file, path: segment.path).isUndamaged() else {
                pruned.damaged.append(segment.path)
                continue
            }
            if !dryRun {
                if pruned.segments.isEmpty, let last = numbers.last { try write(PruneMark(through: last)) }
                let removed: Void? = try diskIfPresent("remove", segment.path) { () throws(Errno) in
                    try disk.remove(segment.path)
                }
                guard removed != nil else { continue }
            }
            pruned.segments.append(segment.number)
            pruned.bytes += present.bytes
        }
        if !dryRun, !pruned.segments.isEmpty {
            let loaded = loaded
            try Spool.disk("synchronize", loaded) { () throws(Errno) in try disk.synchronizeDirectory(loaded) }
        }
        return pruned
    }
}

extension SegmentReader {
    /// Reads to the end and reports whether no damage was found. A torn tail is not damage, since it was never
    /// acknowledged.
    fileprivate func isUndamaged() throws(SpoolError) -> Bool {
        while let event = try next() {
            if case .damage = event { return false }
        }
        return true
    }
}

extension SegmentHeader {
    /// `created`, or nil if it is not a valid time.
    var createdAt: Timestamp? { Timestamp(iso8601: created) }
}
