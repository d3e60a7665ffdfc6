import Logging
import Postgres
import Spool
import SystemPackage
import Time

/// Removes loaded segments and dead letters that have passed their retention, and the progress of removed segments.
struct Pruning {
    let directory: SpoolDirectory
    let retention: Retention
    /// How long dead letters are kept, or nil to keep them all.
    var deadLetterRetention: Duration?
    let progressTable: ProgressTable
    let connection: Connection

    /// Removes the dead letters that are past their retention, and returns their files. Call it after `run`: dead letters
    /// stay as long as their segments.
    func pruneDeadLetters(dryRun: Bool = false) throws(SpoolError) -> [FilePath] {
        guard let deadLetterRetention else { return [] }
        return try DeadLetters(directory: directory).prune(olderThan: deadLetterRetention, dryRun: dryRun)
    }

    /// - Parameter progress: the present progress in the database.
    func run(_ progress: [Progress.Key: Progress], dryRun: Bool = false) throws -> SpoolDirectory.Pruned {
        let pruned = try directory.prune(retention, now: .now, dryRun: dryRun) { header in
            progress[Progress.Key(segment: header.segment, created: header.created)]?.finished == true
        }
        if !dryRun { try forgetRemoved(progress) }
        return pruned
    }

    /// Deletes the progress of segments that retention has removed. Without its progress, a damaged segment that it has
    /// kept would be loaded again by each pass.
    private func forgetRemoved(_ progress: [Progress.Key: Progress]) throws {
        let segments = try directory.segments()
        guard let oldest = directory.oldest(of: segments)?.number else { return }
        let kept = segments.map(\.number).prefix { $0 < oldest }
        let finished = progress.filter { $0.value.finished }.map(\.key.segment)
        guard finished.contains(where: { $0 < oldest && !kept.contains($0) }) else { return }
        try progressTable.forget(before: oldest, except: kept, on: connection)
    }
}
