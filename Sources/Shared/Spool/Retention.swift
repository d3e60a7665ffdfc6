internal import FoundationEssentials
public import SystemPackage

/// How long a spool keeps segments that are wholly loaded.
///
/// A segment's age is counted up to the creation of the newest one, or the present if that is earlier. So nothing expires
/// while nothing arrives, and one wrong clock, the receiver's or the loader's, takes nothing away. Segments go in the order
/// of their numbers, whatever a clock that was set back or forward has written into them.
public struct Retention: Sendable {
    /// A segment that was created longer ago than this goes.
    public var age: Duration
    /// When loaded segments have more bytes than this together, the oldest go; nil for no such limit.
    public var bytes: Int?

    public init(age: Duration, bytes: Int? = nil) {
        self.age = age
        self.bytes = bytes
    }

    /// A loaded segment; `created` in Unix milliseconds.
    struct Candidate {
        let number: Int
        let created: Int64
        let bytes: Int
    }

    /// The numbers of the segments that are to go, the oldest first.
    ///
    /// - Parameter end: up to when age is counted, Unix milliseconds.
    func expired(_ candidates: [Candidate], end: Int64) -> [Int] {
        let oldestKept = end - Int64(age / .milliseconds(1))
        var excess = bytes.map { limit in candidates.reduce(0) { $0 + $1.bytes } - limit } ?? 0
        // What is older by its number is not younger by its clock.
        var created = Int64.max
        var newestFirst: [(candidate: Candidate, created: Int64)] = []
        for candidate in candidates.sorted(by: { $0.number > $1.number }) {
            created = min(created, candidate.created)
            newestFirst.append((candidate, created))
        }
        return newestFirst.reversed().prefix { candidate, created in
            defer { excess -= candidate.bytes }
            return created < oldestKept || excess > 0
        }.map(\.candidate.number)
    }
}

extension SpoolDirectory {
    /// What a pruning did.
    public struct Pruned: Sendable, Equatable {
        /// Numbers of the segments that are gone, the oldest first.
        public var segments: [Int] = []
        /// Their bytes.
        public var bytes = 0
        /// Files that would have gone, but are damaged: they are for people to look at (invariant 7).
        public var damaged: [FilePath] = []
    }

    /// Removes loaded segments that `retention` does not keep any more.
    ///
    /// The segment with the highest number stays whatever its age, so that numbers never repeat (invariant 4).
    /// - Parameters:
    ///   - now: the present, Unix milliseconds.
    ///   - dryRun: whether they are only to be named.
    ///   - isLoaded: whether the database has all of a segment. That it lies in `loaded/` is not enough: the database may
    ///     have been restored from a backup since (invariant 6).
    public func prune(
        _ retention: Retention, now: Int64, dryRun: Bool = false, isLoaded: (SegmentHeader) -> Bool
    ) throws(SpoolError) -> Pruned {
        let segments = try segments()
        var newest: Int64?
        var candidates: [Retention.Candidate] = []
        for segment in segments {
            let (found, bytes) = try Spool.disk("read", segment.path) { () throws(Errno) in
                let file = try disk.open(segment.path)
                return (try file.segmentHeader(), try file.size())
            }
            guard let header = found, let created = header.createdAt, header.spool == identity,
                header.segment == segment.number
            else { continue }
            newest = created
            guard segment.isLoaded, segment.number != segments.last?.number, isLoaded(header) else { continue }
            candidates.append(Retention.Candidate(number: segment.number, created: created, bytes: bytes))
        }
        guard let newest else { return Pruned() }
        return try remove(retention.expired(candidates, end: min(now, newest)), of: segments, dryRun: dryRun)
    }

    private func remove(_ numbers: [Int], of segments: [Segment], dryRun: Bool) throws(SpoolError) -> Pruned {
        var pruned = Pruned()
        let expired = Set(numbers)
        for segment in segments where expired.contains(segment.number) {
            let file = try Spool.disk("open", segment.path) { () throws(Errno) in try disk.open(segment.path) }
            let reader = try SegmentReader(file, path: segment.path)
            guard try reader.isUndamaged() else {
                pruned.damaged.append(segment.path)
                continue
            }
            if !dryRun {
                if pruned.segments.isEmpty, let last = numbers.last { try write(PruneMark(through: last)) }
                try Spool.disk("remove", segment.path) { () throws(Errno) in try disk.remove(segment.path) }
            }
            pruned.segments.append(segment.number)
            pruned.bytes += reader.end
        }
        if !dryRun, !pruned.segments.isEmpty {
            let loaded = loaded
            try Spool.disk("synchronize", loaded) { () throws(Errno) in try disk.synchronizeDirectory(loaded) }
        }
        return pruned
    }
}

extension SegmentReader {
    /// Reads to the end; a torn tail is no damage, since it was never acknowledged.
    fileprivate func isUndamaged() throws(SpoolError) -> Bool {
        while let event = try next() {
            if case .damage = event { return false }
        }
        return true
    }
}

extension SegmentHeader {
    /// `created` in Unix milliseconds, nil when it is no time.
    var createdAt: Int64? { SegmentFormat.unixMilliseconds(created) }
}
