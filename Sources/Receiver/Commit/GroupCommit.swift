import CLinux
import Dispatch
import Glibc
import Logging
import NIOCore
import Readings
import Spool
import Synchronization
import Time

/// Makes batches durable together: batches that arrive during one `fdatasync` share the next one.
///
/// The first thread takes all waiting batches, has the committer write them and count them against the ledger,
/// synchronizes them, and only then answers (invariant 1). While the first thread waits for the disk, a second thread
/// writes the batches that have arrived meanwhile, if they are large enough together. So disk and processor work at the
/// same time. Only the first thread synchronizes and answers. Groups become durable in the order in which they were
/// written. If a group fails, the groups behind it fail too, so that an answered batch never counts as a duplicate of a
/// batch that is not durable (invariant 5).
final class GroupCommit: Sendable {
    /// The result of a durable batch.
    struct Acknowledgement: Sendable {
        let inserted: Int
        let duplicates: Int
        let position: SpoolPosition
    }

    enum Failure: Error, CustomStringConvertible {
        case spool(SpoolError)
        case ledgerFull
        case stopping
        /// The disk did not respond in time. It may still do so: the batch may or may not become durable.
        case stalled

        var description: String {
            switch self {
            case .spool(let error): error.description
            case .ledgerFull: "the ledger of minute keys has reached its memory limit (INGEST_LEDGER_BYTES)"
            case .stopping: "the receiver is stopping"
            case .stalled: "the spool's disk does not answer"
            }
        }
    }

    typealias Outcome = Result<Acknowledgement?, Failure>

    private struct Waiter: Sendable {
        /// nil for a probe, which only tests whether the spool can be written.
        let batch: (content: Batch, record: NewRecord)?
        var bytes: Int { batch?.record.bytes ?? 0 }
        /// The event loop to answer on; nil to answer on the commit thread.
        let home: (any EventLoop)?
        let answer: @Sendable (Outcome) -> Void
        let since = ContinuousClock.now
    }

    private struct Question: Sendable {
        let number: Int
        let answer: @Sendable (MinuteLedger) -> Void
        let giveUp: @Sendable () -> Void
    }

    private struct Queue {
        var waiting: [Waiter] = []
        var waitingBytes = 0
        var questions: [Question] = []
        var lastQuestion = 0
        /// Waiters handed to the committer, in order; nil for a waiter that has been answered already.
        var inProgress: [Waiter?] = []
        /// Whether a batch has timed out, and the disk has not finished since.
        var isStalled = false
        /// Whether a check for timeouts is scheduled.
        var isWatched = false
        /// Whether the first thread waits for the disk.
        var isSynchronizing = false
        /// Whether the first thread waits for work.
        var isFirstIdle = false
        /// Whether the second thread was signalled, and has not run out of work since.
        var isSecondCalled = false
        var isStopping = false
        var isStopped = false
        var stopped: [CheckedContinuation<Void, Never>] = []

        /// Removes and returns the waiters that have waited longest: until they have about `bytes` bytes together, and
        /// no more than fit into `room`.
        mutating func take(about bytes: Int = .max, within room: Int = .max) -> [Waiter] {
            var (count, taken) = (0, 0)
            while count < waiting.count, taken < bytes, taken + waiting[count].bytes <= room {
                taken += waiting[count].bytes
                count += 1
            }
            let group = Array(waiting[..<count])
            waiting.removeFirst(count)
            waitingBytes -= taken
            inProgress += group.map(Optional.some)
            return group
        }

        /// Whether to signal the first thread; true only once while it is idle.
        mutating func callsFirst() -> Bool {
            defer { isFirstIdle = false }
            return isFirstIdle
        }

        /// Whether to signal the second thread; true only once until it has too little work.
        mutating func callsSecond() -> Bool {
            guard isWorthSecond, !isSecondCalled else { return false }
            isSecondCalled = true
            return true
        }

        /// Whether enough bytes wait for the disk to make waking the second thread worthwhile.
        ///
        /// False while a ledger query is pending, because a query needs every group to be complete. Also false after a
        /// batch has timed out: nothing more is written behind its group, however long the disk takes.
        var isWorthSecond: Bool {
            isSynchronizing && !isStalled && waitingBytes >= GroupCommit.secondBytes && questions.isEmpty
        }
    }

    /// The second thread writes during a sync once this many bytes are waiting.
    private static let secondBytes = 256 << 10
    /// The second thread writes about this many bytes at a time, so that the first one soon gets the committer.
    private static let pieceBytes = 1 << 20

    private let queue = Mutex(Queue())
    private let committer: Mutex<Committer>
    private let first = DispatchSemaphore(value: 0)
    private let second = DispatchSemaphore(value: 0)
    private let patience: Duration
    private let logger: Logger
    /// Background queue for the digests of closed segments; no batch waits for it.
    private let aside = DispatchQueue(label: "digests")

    /// Starts the threads, which own `ledger` and `writer` from here on.
    ///
    /// - Parameter patience: how long a batch waits for the disk before it fails with `stalled`, as it may not be
    ///   durable.
    init(
        ledger: sending MinuteLedger, writer: sending SpoolWriter, ledgerBytes: Int, holdings: SpoolHoldings,
        patience: Duration = .seconds(20), logger: Logger
    ) {
        self.patience = patience
        self.logger = logger
        committer = Mutex(
            Committer(
                ledger: ledger, writer: writer, ledgerBytes: ledgerBytes, holdings: holdings, logger: logger
            ) { [aside] in aside.async(execute: $0) })
        // Dedicated threads: disk calls block, and must not block an event loop or the cooperative pool.
        Self.startThread("commit") { self.run() }
        Self.startThread("commit-ahead") { self.writeMeanwhile() }
    }

    /// - Parameter name: as `top -H` shows it, 15 bytes at most.
    private static func startThread(_ name: String, _ body: @escaping () -> Void) {
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
        precondition(result == 0, "cannot start a thread of the spool: error \(result)")
        _ = pthread_setname_np(thread, name)
        pthread_detach(thread)
    }

    /// Queues a batch and returns at once.
    ///
    /// - Parameter answer: called on `eventLoop` once the batch is durable, or with the failure. After a failure nothing
    ///   of the batch counts, except that a `.stalled` batch may yet become durable.
    func commit(
        _ batch: Batch, _ record: NewRecord, on eventLoop: any EventLoop,
        then answer: @escaping @Sendable (Result<Acknowledgement, Failure>) -> Void
    ) {
        submit(Waiter(batch: (batch, record), home: eventLoop) { answer(Self.acknowledgement(in: $0)) })
    }

    /// Returns once the batch is durable; throws the failure, as above.
    func commit(_ batch: Batch, _ record: NewRecord) async throws(Failure) -> Acknowledgement {
        try Self.acknowledgement(in: await outcome(of: (batch, record))).get()
    }

    /// Returns when the spool can be written; throws the reason when it cannot.
    func probe() async throws(Failure) {
        _ = try await outcome(of: nil).get()
    }

    private func outcome(of batch: (Batch, NewRecord)?) async -> Outcome {
        await withCheckedContinuation { continuation in
            submit(Waiter(batch: batch, home: nil) { continuation.resume(returning: $0) })
        }
    }

    private static func acknowledgement(in outcome: Outcome) -> Result<Acknowledgement, Failure> {
        outcome.map { acknowledgement in
            guard let acknowledgement else { preconditionFailure("a batch is answered with an acknowledgement") }
            return acknowledgement
        }
    }

    /// Runs `question` on the ledger between two groups, when all its keys are durable.
    ///
    /// Returns nil on a timeout, such as when the disk does not respond, when too many queries are queued, and when the
    /// receiver is stopping. All batches wait while `question` runs. So it is short: a question about all devices takes
    /// two milliseconds at most, and the caller queries again for the rest.
    func ask<Answer: Sendable>(
        within patience: Duration = .seconds(1), _ question: @escaping @Sendable (MinuteLedger) -> Answer
    ) async -> Answer? {
        await withCheckedContinuation { continuation in
            let (number, isIdle) = queue.withLock { queue -> (Int?, Bool) in
                guard !queue.isStopping, queue.questions.count < Self.maximumQuestions else { return (nil, false) }
                queue.lastQuestion += 1
                queue.questions.append(
                    Question(
                        number: queue.lastQuestion, answer: { continuation.resume(returning: question($0)) },
                        giveUp: { continuation.resume(returning: nil) }))
                return (queue.lastQuestion, queue.callsFirst())
            }
            guard let number else { return continuation.resume(returning: nil) }
            if isIdle { first.signal() }
            DispatchQueue.global().asyncAfter(deadline: .now() + patience.inSeconds) { [self] in
                takeQuestion { $0.number == number }?.giveUp()
            }
        }
    }

    private static let maximumQuestions = 64

    private func takeQuestion(where isWanted: (Question) -> Bool = { _ in true }) -> Question? {
        queue.withLock { queue in
            queue.questions.firstIndex(where: isWanted).map { queue.questions.remove(at: $0) }
        }
    }

    /// Whether the disk has held a group for longer than the commit timeout.
    var isStalled: Bool { queue.withLock { $0.isStalled } }

    /// Answers all waiting batches, seals the segment and ends the threads.
    func stop() async {
        await withCheckedContinuation { continuation in
            let (isStopped, isIdle) = queue.withLock { queue in
                queue.isStopping = true
                if !queue.isStopped { queue.stopped.append(continuation) }
                return (queue.isStopped, queue.callsFirst())
            }
            if isStopped { continuation.resume() }
            if isIdle { first.signal() }
        }
    }

    private func submit(_ waiter: Waiter) {
        let (accepted, isIdle, isMuch, isUnwatched) = queue.withLock { queue in
            guard !queue.isStopping else { return (false, false, false, false) }
            queue.waiting.append(waiter)
            queue.waitingBytes += waiter.bytes
            defer { queue.isWatched = true }
            return (true, queue.callsFirst(), queue.callsSecond(), !queue.isWatched)
        }
        if !accepted { Self.answer([waiter], [.failure(.stopping)]) }
        if isIdle { first.signal() }
        if isMuch { second.signal() }
        if isUnwatched { watch(after: patience) }
    }

    /// Times out batches that have waited too long, as long as any batch waits.
    ///
    /// It does not run on the commit thread, which may itself be blocked by the disk.
    private func watch(after pause: Duration) {
        DispatchQueue.global().asyncAfter(deadline: .now() + pause.inSeconds) { [self] in
            let now = ContinuousClock.now
            let (late, oldest) = queue.withLock { queue -> ([Waiter], ContinuousClock.Instant?) in
                func isLate(_ waiter: Waiter) -> Bool { waiter.since.duration(to: now) >= patience }
                var late: [Waiter] = []
                for (index, waiter) in queue.inProgress.enumerated() {
                    guard let waiter, isLate(waiter) else { continue }
                    late.append(waiter)
                    queue.inProgress[index] = nil
                    queue.isStalled = true
                }
                let lateHere = queue.waiting.filter(isLate)
                if !lateHere.isEmpty { queue.isStalled = true }
                late += lateHere
                queue.waiting.removeAll(where: isLate)
                queue.waitingBytes = queue.waiting.reduce(0) { $0 + $1.bytes }
                let left = queue.inProgress.compactMap(\.?.since) + queue.waiting.map(\.since)
                queue.isWatched = !left.isEmpty
                return (late, left.min())
            }
            if !late.isEmpty {
                logger.error("the spool's disk does not answer; \(late.count) batches were told to try again")
            }
            Self.answer(late, late.map { _ in .failure(.stalled) })
            if let oldest { watch(after: patience - oldest.duration(to: now)) }
        }
    }

    private func run() {
        while true {
            let (turn, isStopping, isIdle, nextTurn) = committer.withLock { committer in
                var (isStopping, isIdle) = (false, false)
                if committer.isSettled {
                    // One query between two groups, so that neither queries nor batches wait for all of the others.
                    takeQuestion()?.answer(committer.ledger)
                    // Better now than while a batch waits for it.
                    committer.rotateIfDue()
                    let group = queue.withLock { queue in
                        queue.isStalled = false
                        isStopping = queue.isStopping
                        isIdle = queue.waiting.isEmpty && queue.questions.isEmpty && !isStopping
                        queue.isFirstIdle = isIdle
                        return queue.take()
                    }
                    if !group.isEmpty { committer.write(group.map(\.batch)) }
                }
                return (committer.turn, isStopping, isIdle, committer.nextTurn)
            }
            if let turn {
                let result = synchronize(turn)
                let outcomes = committer.withLock { $0.settle(turn, result) }
                let waiters = queue.withLock { queue in
                    let waiters = Array(queue.inProgress.prefix(outcomes.count))
                    queue.inProgress.removeFirst(outcomes.count)
                    queue.isStalled = queue.inProgress.contains { $0 == nil }
                    return waiters
                }
                Self.answer(waiters, outcomes)
            } else if isStopping {
                return end()
            } else if isIdle {
                // A signal that arrives just after the timeout costs one extra iteration.
                _ = first.wait(timeout: nextTurn)
            }
        }
    }

    private func synchronize(_ turn: Committer.Turn) -> Result<Duration, SpoolError> {
        let isMuch = queue.withLock { queue in
            queue.isSynchronizing = true
            queue.isSecondCalled = false
            return queue.callsSecond()
        }
        if isMuch { second.signal() }
        defer { queue.withLock { $0.isSynchronizing = false } }
        return turn.synchronize()
    }

    /// The body of the second thread.
    private func writeMeanwhile() {
        while true {
            second.wait()
            while writePiece() {}
            if queue.withLock({ $0.isStopped }) { return }
        }
    }

    /// Writes some of the waiting batches while the first thread synchronizes; returns false when there was too little.
    private func writePiece() -> Bool {
        committer.withLock { committer in
            // Batches that do not fit are left to the first thread. This one is not signalled before the next group.
            let room = committer.roomMeanwhile
            guard room > 0 else { return false }
            let group = queue.withLock { queue -> [Waiter] in
                guard queue.isWorthSecond else {
                    queue.isSecondCalled = false
                    return []
                }
                return queue.take(about: Self.pieceBytes, within: room)
            }
            if !group.isEmpty { committer.write(group.map(\.batch)) }
            return !group.isEmpty
        }
    }

    private func end() {
        committer.withLock { $0.stop() }
        aside.sync {}
        while let question = takeQuestion() { question.giveUp() }
        let waiting = queue.withLock { queue in
            queue.isStopped = true
            return queue.stopped
        }
        second.signal()
        for continuation in waiting { continuation.resume() }
    }

    /// Answers all the waiters, with one call per event loop.
    private static func answer(_ waiters: [Waiter?], _ outcomes: [Outcome]) {
        let answered = zip(waiters, outcomes).compactMap { waiter, outcome in waiter.map { ($0, outcome) } }
        let homes = Dictionary(grouping: answered) { waiter, _ in waiter.home.map { ObjectIdentifier($0) } }
        for answered in homes.values {
            let tell = { @Sendable in
                for (waiter, outcome) in answered { waiter.answer(outcome) }
            }
            if let home = answered.first?.0.home { home.execute(tell) } else { tell() }
        }
    }

    private final class ThreadBody {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }
}
