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

    /// Moves the mark forward, durably. It never moves back.
    func write(_ mark: PruneMark) throws(SpoolError) {
        guard mark.through > pruneMark()?.through ?? 0 else { return }
        try write(mark, to: pruneMarkPath, durably: true)
    }
}
