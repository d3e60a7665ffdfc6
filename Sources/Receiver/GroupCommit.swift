import Dispatch
import Glibc
import Logging
import Readings
import Spool
import Synchronization

/// Makes batches durable together: whatever has arrived while the disk was busy shares the next `fdatasync`.
///
/// One thread owns the ledger and the spool's writer. It takes all batches that wait, counts them against the ledger,
/// appends and synchronizes them, and only then answers (invariant 1). Since keys are set and confirmed or taken back
/// by the same thread within one group, no batch ever sees a key that is not durable or about to become so with it.
final class GroupCommit: Sendable {
    /// What a durable batch came to.
    struct Acknowledgement: Sendable {
        let inserted: Int
        let duplicates: Int
        let position: SpoolPosition
    }

    enum Failure: Error, CustomStringConvertible {
        case spool(SpoolError)
        case ledgerFull
        case stopping

        var description: String {
            switch self {
            case .spool(let error): error.description
            case .ledgerFull: "the ledger of minute keys has reached its memory limit (INGEST_LEDGER_BYTES)"
            case .stopping: "the receiver is stopping"
            }
        }
    }

    typealias Outcome = Result<Acknowledgement?, Failure>

    private struct Waiter: Sendable {
        /// nil for a probe, which only asks whether the spool can be written.
        let batch: (content: Batch, record: NewRecord)?
        let continuation: CheckedContinuation<Outcome, Never>
    }

    private struct Queue {
        var waiting: [Waiter] = []
        var isStopping = false
        var isStopped = false
        var stopped: [CheckedContinuation<Void, Never>] = []
    }

    private let queue = Mutex(Queue())
    private let wake = DispatchSemaphore(value: 0)
    private let holdings: SpoolHoldings
    private let logger: Logger

    /// Starts the thread, which owns `ledger` and `writer` from here on.
    init(
        ledger: sending MinuteLedger, writer: sending SpoolWriter, ledgerBytes: Int, holdings: SpoolHoldings,
        logger: Logger
    ) {
        self.holdings = holdings
        self.logger = logger
        let committer = Committer(
            ledger: ledger, writer: writer, ledgerBytes: ledgerBytes, holdings: holdings, logger: logger)
        // A thread of its own: fdatasync blocks, and neither an event loop nor the cooperative pool may.
        let body = ThreadBody { self.run(committer) }
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(body).toOpaque())
        precondition(result == 0, "cannot start the spool's thread: error \(result)")
        pthread_detach(thread)
    }

    /// Returns when the batch is durable; throws when it is not, and then nothing of it counts.
    func commit(_ batch: Batch, _ record: NewRecord) async throws(Failure) -> Acknowledgement {
        guard let acknowledgement = try await submit((batch, record)).get() else {
            preconditionFailure("a batch is answered with an acknowledgement")
        }
        return acknowledgement
    }

    /// Returns when the spool can be written; throws why not.
    func probe() async throws(Failure) {
        _ = try await submit(nil).get()
    }

    /// Answers everything that waits, leaves the segment in good order and ends the thread.
    func stop() async {
        await withCheckedContinuation { continuation in
            let isStopped = queue.withLock { queue in
                queue.isStopping = true
                if !queue.isStopped { queue.stopped.append(continuation) }
                return queue.isStopped
            }
            if isStopped { continuation.resume() } else { wake.signal() }
        }
    }

    private func submit(_ batch: (Batch, NewRecord)?) async -> Outcome {
        await withCheckedContinuation { continuation in
            let (accepted, isFirst) = queue.withLock { queue in
                guard !queue.isStopping else { return (false, false) }
                queue.waiting.append(Waiter(batch: batch, continuation: continuation))
                return (true, queue.waiting.count == 1)
            }
            if !accepted { continuation.resume(returning: .failure(.stopping)) }
            if isFirst { wake.signal() }
        }
    }

    private func run(_ committer: Committer) {
        var committer = committer
        while true {
            let (group, isStopping) = queue.withLock { queue in
                let group = queue.waiting
                queue.waiting = []
                return (group, queue.isStopping)
            }
            if !group.isEmpty {
                let outcomes = committer.commit(group.map(\.batch))
                for (waiter, outcome) in zip(group, outcomes) { waiter.continuation.resume(returning: outcome) }
            } else if isStopping {
                committer.stop()
                let waiting = queue.withLock { queue in
                    queue.isStopped = true
                    return queue.stopped
                }
                for continuation in waiting { continuation.resume() }
                return
            } else {
                committer.rotateIfDue()
                // A signal that was meant for a group already taken costs one more turn, nothing else.
                _ = wake.wait(timeout: committer.nextTurn)
            }
        }
    }

    private final class ThreadBody {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }
}
