import Dispatch
package import Ledger
package import Logging
package import NIOCore
package import Readings
package import Spool
import Synchronization
import Time

/// Makes batches durable together: batches that arrive during one `fdatasync` share the next one.
///
/// Two threads and a timer around a `CommitQueue`, which decides, and a `Committer`, which writes. An answer is given
/// only after the sync of its batch (invariant 1). Groups become durable in the order in which they were written. If a
/// group fails, the groups behind it fail too, so that an answered batch never counts as a duplicate of a batch that is
/// not durable (invariant 5).
package final class GroupCommit: Sendable {
    /// A class, since it passes through several arrays and a batch has many parts to copy.
    private final class Waiter: Sendable {
        /// nil for a probe, which only tests whether the spool can be written.
        let batch: (content: Batch, record: NewRecord)?
        /// The event loop to answer on; nil to answer on the commit thread.
        let eventLoop: (any EventLoop)?
        let answer: @Sendable (CommitOutcome) -> Void

        init(
            batch: (content: Batch, record: NewRecord)?, eventLoop: (any EventLoop)?,
            answer: @escaping @Sendable (CommitOutcome) -> Void
        ) {
            self.batch = batch
            self.eventLoop = eventLoop
            self.answer = answer
        }
    }

    private struct Query: Sendable {
        let run: @Sendable (MinuteLedger) -> Void
        /// Ends the caller's wait without a result: on a timeout, or when the threads end.
        let cancel: @Sendable () -> Void
    }

    private struct State {
        var queue: CommitQueue<Waiter, Query>
        /// Callers of `stop`; nil once the threads have ended.
        var stops: [CheckedContinuation<Void, Never>]? = []
    }

    private let state: Mutex<State>
    /// Held by the thread that writes or completes, never together with `state`.
    private let committer: Mutex<Committer>
    private let commitThread: WorkerThread
    private let aheadThread: WorkerThread
    private let timer = DispatchQueue(label: "commit-timer")
    /// Background queue for the digests of closed segments; no batch waits for it.
    private let background = DispatchQueue(label: "digests")
    private let logger: Logger

    /// Starts the threads, which own `ledger` and `writer` from here on.
    ///
    /// - Parameter timeout: how long a batch waits for the disk before it fails with `diskTimeout`, as it may not be durable.
    package init(
        ledger: sending MinuteLedger, writer: sending SpoolWriter, ledgerBytes: Int, spoolState: SpoolState,
        timeout: Duration = .seconds(20), logger: Logger
    ) {
        self.logger = logger
        let directory = writer.directory
        // The start may have made digests of segments that a killed receiver left.
        background.async { directory.mergeDigests() }
        state = Mutex(State(queue: CommitQueue(.init(timeout: timeout))))
        committer = Mutex(
            Committer(
                ledger: ledger, writer: writer, ledgerBytes: ledgerBytes, spoolState: spoolState, logger: logger
            ) { [background] in background.async(execute: $0) })
        commitThread = WorkerThread(name: "commit")
        aheadThread = WorkerThread(name: "commit-ahead")
        commitThread.start { self.commitGroups() }
        aheadThread.start { self.writeAhead() }
    }

    /// Queues a batch and returns at once.
    ///
    /// - Parameter answer: called on `eventLoop` once the batch is durable, or with the failure. After a failure nothing
    ///   of the batch counts, except that a `diskTimeout` batch may yet become durable.
    package func commit(
        _ batch: Batch, _ record: NewRecord, on eventLoop: any EventLoop,
        then answer: @escaping @Sendable (Result<Acknowledgement, CommitFailure>) -> Void
    ) {
        submit(
            Waiter(batch: (batch, record), eventLoop: eventLoop) { outcome in
                answer(
                    outcome.map { acknowledgement in
                        guard let acknowledgement else { preconditionFailure("a batch has an acknowledgement") }
                        return acknowledgement
                    })
            })
    }

    /// Returns when the spool can be written; throws the reason when it cannot.
    package func probe() async throws(CommitFailure) {
        let outcome = await withCheckedContinuation { continuation in
            submit(Waiter(batch: nil, eventLoop: nil) { continuation.resume(returning: $0) })
        }
        _ = try outcome.get()
    }

    /// Runs `query` on the ledger between two groups, when all its keys are durable.
    ///
    /// Returns nil on a timeout, such as when the disk does not respond, when too many queries are queued, and when the
    /// receiver is stopping. All batches wait while `query` runs. So it is short: a query for all devices takes half
    /// a millisecond, and the caller queries again for the rest.
    package func query<Value: Sendable>(
        within timeout: Duration = .seconds(1), _ query: @escaping @Sendable (MinuteLedger) -> Value
    ) async -> Value? {
        await withCheckedContinuation { continuation in
            let wake = state.withLock { state in
                state.queue.arrived(
                    Query(
                        run: { continuation.resume(returning: query($0)) },
                        cancel: { continuation.resume(returning: nil) }), deadline: .now + timeout)
            }
            guard let wake else { return continuation.resume(returning: nil) }
            perform(wake)
        }
    }

    /// Whether the disk has held a group for longer than the commit timeout.
    package var isStalled: Bool { state.withLock { $0.queue.isStalled } }

    /// Answers all waiting batches, seals the segment and ends the threads.
    package func stop() async {
        await withCheckedContinuation { continuation in
            let wake = state.withLock { state -> CommitQueue<Waiter, Query>.Wake? in
                guard state.stops != nil else { return nil }
                state.stops?.append(continuation)
                return state.queue.stop()
            }
            guard let wake else { return continuation.resume() }
            perform(wake)
        }
    }

    private func submit(_ waiter: Waiter) {
        let wake = state.withLock {
            $0.queue.arrived(waiter, bytes: waiter.batch?.record.bytes ?? 0, at: .now)
        }
        guard let wake else { return Self.answer([waiter], [.failure(.stopping)]) }
        perform(wake)
    }

    private func perform(_ wake: CommitQueue<Waiter, Query>.Wake) {
        if wake.commit { commitThread.wake() }
        if wake.ahead { aheadThread.wake() }
        guard let instant = wake.timer else { return }
        // The millisecond makes up for the two clocks' readings.
        let delay = ContinuousClock.now.duration(to: instant).inSeconds + 0.001
        timer.asyncAfter(deadline: .now() + max(0, delay)) { self.timerRang() }
    }

    /// The body of the commit thread.
    private func commitGroups() {
        while true {
            switch state.withLock({ $0.queue.next() }) {
            case .work(let query, let group):
                committer.withLock { committer in
                    query?.run(committer.ledger)
                    if !group.isEmpty { committer.write(group.map(\.batch)) }
                }
            case .synchronize(let wake):
                perform(wake)
                guard let sync = committer.withLock({ $0.pendingSync }) else { preconditionFailure("nothing written") }
                let result = sync.run()
                if state.withLock({ $0.queue.synchronized() }) { commitThread.wait() }
                let outcomes = committer.withLock { $0.complete(sync, result) }
                Self.answer(state.withLock { $0.queue.completed(outcomes.count) }, outcomes)
            case .rest:
                let rotation = committer.withLock { committer in
                    committer.rotateIfDue()
                    return committer.untilRotation
                }
                perform(state.withLock { $0.queue.rested(until: rotation.map { .now + $0 }) })
                commitThread.wait()
            case .end:
                return end()
            }
        }
    }

    /// The body of the ahead thread.
    private func writeAhead() {
        while state.withLock({ $0.stops != nil }) {
            aheadThread.wait()
            while true {
                let room = committer.withLock { $0.roomAhead }
                guard let piece = state.withLock({ $0.queue.nextPiece(within: room) }) else { break }
                committer.withLock { $0.write(piece.map(\.batch)) }
                perform(state.withLock { $0.queue.pieceWritten() })
            }
        }
    }

    /// Fails the batches and queries that have waited too long. The timer does not run on the commit thread, which may
    /// itself be blocked by the disk.
    private func timerRang() {
        let (late, queries, wake) = state.withLock { $0.queue.rang(at: .now) }
        if !late.isEmpty {
            logger.error("the spool's disk does not answer; batches answered with 503: \(late.count)")
        }
        Self.answer(late, late.map { _ in .failure(.diskTimeout) })
        for query in queries { query.cancel() }
        perform(wake)
    }

    private func end() {
        committer.withLock { $0.stop() }
        background.sync {}
        let (queries, stops) = state.withLock { state in
            defer { state.stops = nil }
            return (state.queue.ended(), state.stops ?? [])
        }
        aheadThread.wake()
        for query in queries { query.cancel() }
        for stop in stops { stop.resume() }
    }

    /// Answers all the waiters, with one call per event loop; there are few.
    private static func answer(_ waiters: [Waiter?], _ outcomes: [CommitOutcome]) {
        var groups: [(eventLoop: (any EventLoop)?, answers: [(waiter: Waiter, outcome: CommitOutcome)])] = []
        for case (let waiter?, let outcome) in zip(waiters, outcomes) {
            let group = groups.firstIndex { $0.eventLoop === waiter.eventLoop } ?? groups.endIndex
            if group == groups.endIndex { groups.append((waiter.eventLoop, [])) }
            groups[group].answers.append((waiter, outcome))
        }
        for (eventLoop, answers) in groups {
            let answer = { @Sendable in
                for (waiter, outcome) in answers { waiter.answer(outcome) }
            }
            if let eventLoop { eventLoop.execute(answer) } else { answer() }
        }
    }
}
