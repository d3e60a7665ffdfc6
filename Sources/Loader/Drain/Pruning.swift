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
    var letterRetention: Duration?
    let progressTable: ProgressTable
    let connection: Connection

    /// The files of dead letters that are removed, after the segments.
    func letters(dryRun: Bool = false) throws(SpoolError) -> [FilePath] {
        guard let letterRetention else { return [] }
        return try DeadLetters(directory: directory).prune(olderThan: letterRetention, dryRun: dryRun)
    }

    /// - Parameter progress: the present progress in the database.
    func run(_ progress: [Progress.Key: Progress], dryRun: Bool = false) throws -> SpoolDirectory.Pruned {
        let pruned = try directory.prune(retention, now: .now, dryRun: dryRun) { header in
            progress[Progress.Key(segment: header.segment, created: header.created)]?.finished == true
        }
        if !dryRun, let oldest = try directory.segments().first?.number,
            progress.contains(where: { $0.key.segment < oldest && $0.value.finished })
        {
            try progressTable.forget(before: oldest, on: connection)
        }
        return pruned
    }
}
