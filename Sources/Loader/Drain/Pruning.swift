import Logging
import Postgres
import Spool
import Time

/// Removes loaded segments that have passed their retention, and the progress of removed segments.
struct Pruning {
    let directory: SpoolDirectory
    let retention: Retention
    let progressTable: ProgressTable
    let connection: Connection

    /// - Parameter progress: the present progress in the database.
    func run(_ progress: [Progress.Key: Progress], dryRun: Bool = false) throws -> SpoolDirectory.Pruned {
        let pruned = try directory.prune(retention, now: Timestamp.now.unixMilliseconds, dryRun: dryRun) { header in
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
