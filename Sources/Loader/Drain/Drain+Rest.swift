import Spool
import Time

/// Lets a serverless database sleep: passes that leave it alone.
extension Drain {
    /// The database is used once in this time even if nothing waits: it may have been restored, and lacks rows then.
    private static let longestRest = Duration.seconds(86_400)
    /// Minimum interval between two renewals of the drain mark.
    private static let drainMarkAge = Duration.seconds(10)

    /// Whether a pass would find nothing to do, or comes too early after the last one.
    func isAtRest(_ directory: SpoolDirectory) throws(SpoolError) -> Bool {
        guard databaseSleep > .zero, let mark = directory.databaseMark() else { return false }
        let now = Timestamp.now
        let rest = now - mark.usedAt
        // The clock may have been set back.
        guard rest >= .zero, rest < Self.longestRest else { return false }
        guard try mark.coversAll(of: directory) else { return rest < databaseSleep }
        // The mark shows that the loader works, so a loader at rest renews it too.
        let drainMark = directory.drainMark()
        if drainMark.map({ now - $0.drainedAt >= Self.drainMarkAge }) ?? true {
            try? directory.write(DrainMark(settled: drainMark?.settled))
        }
        return true
    }
}
