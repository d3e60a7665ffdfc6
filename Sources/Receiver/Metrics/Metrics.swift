// Metrics: the counters behind `/metrics` and the status page.
// Begin here.
// Uses Commit, HTTP, Readings, Time.

import Commit
import Readings
import Synchronization
import Time

/// The receiver's counters since its start; updated once per batch and once per group.
final class Metrics: Sendable {
    struct Snapshot: Sendable {
        /// Acknowledged batches.
        var batches = 0
        /// Messages in these batches.
        var messages = 0
        /// Invalid messages among them, which were set aside as the client wished.
        var invalidMessages = 0
        /// Readings by their outcome.
        var inserted = 0
        var duplicates = 0
        var errors = 0
        /// Components with a power that became no reading, by type.
        var untaken: [UntakenComponent.ComponentType: Int] = [:]
        /// The devices of the newest of these.
        var untakenDevices = RecentDevices()
        /// Valid messages that gave no reading.
        var messagesWithoutReadings = 0
        /// Rejected batches and connections.
        var refusals: [Rejection.Reason: Int] = [:]
        /// When the last acknowledged batch was received; nil when there was none yet.
        var lastBatchAt: Timestamp?
        var recent = RecentBatches()
        /// Seconds from a batch's header to its acknowledgement.
        var ack = Histogram([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30])
        /// Number of batches that became durable together.
        var group = Histogram([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
        /// Seconds of the fdatasync(2) that made them durable.
        var fdatasync = Histogram([
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
        ])
    }

    private let counted = Mutex(Snapshot())

    func snapshot() -> Snapshot { counted.withLock { $0 } }

    /// Counts a batch that is durable and is about to be acknowledged.
    func acknowledged(
        _ batch: Batch, _ acknowledgement: Acknowledgement, receivedAt: Timestamp, seconds: Double
    ) {
        counted.withLock { counted in
            counted.batches += 1
            counted.messages += batch.messageCount
            counted.invalidMessages += batch.invalid.count
            counted.inserted += acknowledgement.inserted
            counted.duplicates += acknowledgement.duplicates
            counted.errors += batch.faults.count
            counted.messagesWithoutReadings += batch.messagesWithoutReadings
            for untaken in batch.untaken { counted.untaken[untaken.component, default: 0] += 1 }
            counted.untakenDevices.add(batch, at: receivedAt)
            counted.lastBatchAt = receivedAt
            counted.recent.append(
                RecentBatches.Entry(
                    receivedAt: receivedAt, messages: batch.messageCount, inserted: acknowledgement.inserted,
                    duplicates: acknowledgement.duplicates, errors: batch.faults.count, seconds: seconds))
            counted.ack.observe(seconds)
        }
    }

    /// Called after each fdatasync with the number of records that became durable together; 0 for a probe.
    @Sendable func committed(_ records: Int, _ synchronizing: Duration) {
        guard records > 0 else { return }
        counted.withLock { counted in
            counted.group.observe(Double(records))
            counted.fdatasync.observe(synchronizing.inSeconds)
        }
    }

    /// Counts a rejected batch or connection; a rejection of anything else has no reason and is not counted.
    func refused(_ rejection: Rejection) {
        guard let reason = rejection.reason else { return }
        counted.withLock { $0.refusals[reason, default: 0] += 1 }
    }
}
