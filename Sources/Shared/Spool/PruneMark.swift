internal import SystemPackage

/// Up to where the retention has removed segments, left in the spool as `pruned.json`.
///
/// It is durable before the first of them goes, so a segment that is missing and not covered by it was lost some other way.
public struct PruneMark: Codable, Sendable, Equatable {
    /// Segments up to this number may be gone.
    public let through: Int
}

extension SpoolDirectory {
    private var pruneMarkPath: FilePath { path.appending("pruned.json") }

    /// The mark, nil when nothing was ever removed.
    public func pruneMark() -> PruneMark? { mark(PruneMark.self, at: pruneMarkPath) }

    /// Moves the mark forward, durably; never back.
    func write(_ mark: PruneMark) throws(SpoolError) {
        guard mark.through > pruneMark()?.through ?? 0 else { return }
        try write(mark, to: pruneMarkPath, durably: true)
    }
}
