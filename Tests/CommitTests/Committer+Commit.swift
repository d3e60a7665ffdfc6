import Readings
import Spool

@testable import Commit

extension Committer {
    /// Makes all the batches durable together, or returns why not.
    mutating func commit(_ batches: [(content: Batch, record: NewRecord)?]) -> [CommitOutcome] {
        write(batches)
        guard let pendingSync else { return [] }
        return complete(pendingSync, pendingSync.run())
    }
}
