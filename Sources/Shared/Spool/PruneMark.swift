internal import SystemPackage

/// The highest segment number that retention has removed, stored in the spool as `pruned.json`.
///
/// The mark is durable before the first segment is removed. A missing segment that the mark does not cover was
/// therefore lost in another way.
public struct PruneMark: Codable, Sendable, Equatable {
    /// Segments up to this number may have been removed.
    public let through: Int
}

extension SpoolDirectory {
    private var pruneMarkPath: FilePath { path.appending("pruned.json") }

    /// The mark, or nil if no segment was ever removed.
    public func pruneMark() -> PruneMark? { mark(PruneMark.self, at: pruneMarkPath) }

    /// The first of the segments that retention has not reached: it is in `pending/`, or above the mark. Nil if there is
    /// none.
    ///
    /// Below it are only segments that retention would have removed if they were not damaged, or if the database had all
    /// of them.
    /// - Parameter segments: by number, as `segments()` lists them.
    public func oldest(of segments: [Segment]) -> Segment? {
        let pruned = pruneMark()?.through ?? 0
        return segments.first { !$0.isLoaded || $0.number > pruned }
    }

    /// Moves the mark forward, durably. It never moves back.
    func write(_ mark: PruneMark) throws(SpoolError) {
        guard mark.through > pruneMark()?.through ?? 0 else { return }
        try write(mark, to: pruneMarkPath, durably: true)
    }
}
