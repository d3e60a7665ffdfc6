import Readings
import Synchronization
import Time

/// What the receiver has counted since it was started: one update a batch, and one a group.
final class Metrics: Sendable {
    struct Snapshot: Sendable {
        /// Batches that were acknowledged.
        var batches = 0
        /// Their messages.
        var messages = 0
        /// Messages among these that are invalid and were set aside, as their client wished.
        var invalidMessages = 0
        /// Readings by what became of them.
        var inserted = 0
        var duplicates = 0
        var errors = 0
        /// Batches and connections that were refused.
        var refusals: [Rejection.Reason: Int] = [:]
        /// When the last acknowledged batch was received, Unix milliseconds; nil when there was none yet.
        var lastBatchAt: Int64?
        var recent = RecentBatches()
        /// Seconds from a batch's header to its acknowledgement.
        var ack = Histogram([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30])
        /// Batches that became durable together.
        var group = Histogram([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
        /// Seconds of the fdatasync(2) that made them so.
        var fdatasync = Histogram([
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
        ])
    }

    private let counted = Mutex(Snapshot())

    func snapshot() -> Snapshot { counted.withLock { $0 } }

    /// A batch is durable and is about to be answered so.
    func acknowledged(
        _ batch: Batch, _ acknowledgement: GroupCommit.Acknowledgement, receivedAt: Int64, seconds: Double
    ) {
        counted.withLock { counted in
            counted.batches += 1
            counted.messages += batch.messageCount
            counted.invalidMessages += batch.invalid.count
            counted.inserted += acknowledgement.inserted
            counted.duplicates += acknowledgement.duplicates
            counted.errors += batch.faults.count
            counted.lastBatchAt = receivedAt
            counted.recent.note(
                RecentBatches.Entry(
                    receivedAt: receivedAt, messages: batch.messageCount, inserted: acknowledgement.inserted,
                    duplicates: acknowledgement.duplicates, errors: batch.faults.count, seconds: seconds))
            counted.ack.observe(seconds)
        }
    }

    /// So many records became durable together; none when it was only tried whether the spool can be written.
    @Sendable func committed(_ records: Int, _ synchronizing: Duration) {
        guard records > 0 else { return }
        counted.withLock { counted in
            counted.group.observe(Double(records))
            counted.fdatasync.observe(synchronizing.inSeconds)
        }
    }

    /// A batch or a connection was refused; rejections of anything else have no reason here.
    func refused(_ rejection: Rejection) {
        guard let reason = rejection.reason else { return }
        counted.withLock { $0.refusals[reason, default: 0] += 1 }
    }
}
