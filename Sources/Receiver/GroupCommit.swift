import Dispatch
import Glibc
import Logging
import NIOCore
import Readings
import Spool
import Synchronization

/// Makes batches durable together: whatever has arrived while the disk was busy shares the next `fdatasync`.
///
/// One thread owns the ledger and the spool's writer. It takes all batches that wait, appends them, counts them against
/// the ledger, synchronizes them, and only then answers (invariant 1). Since keys are set and confirmed or taken back
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
        /// The disk did not answer in time. It may yet, so whether the batch becomes durable is not known.
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
        /// nil for a probe, which only asks whether the spool can be written.
        let batch: (content: Batch, record: NewRecord)?
        /// Where it waits; nil when that is nowhere in particular.
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
        var questions: [Question] = []
        var lastQuestion = 0
        /// The group that is with the disk; nil for those that have been answered already.
        var inProgress: [Waiter?] = []
        /// Whether somebody was answered because of the time that the disk takes for this group.
        var isStalled = false
        /// Whether a look at who has waited too long is due.
        var isWatched = false
        var isStopping = false
        var isStopped = false
        var stopped: [CheckedContinuation<Void, Never>] = []
    }

    private let queue = Mutex(Queue())
    private let wake = DispatchSemaphore(value: 0)
    private let patience: Duration
    private let logger: Logger
    /// For the digests of segments that were left, which no batch has to wait for.
    private let aside = DispatchQueue(label: "digests")

    /// Starts the thread, which owns `ledger` and `writer` from here on.
    ///
    /// - Parameter patience: how long a batch waits for the disk before it is answered that it may not be durable.
    init(
        ledger: sending MinuteLedger, writer: sending SpoolWriter, ledgerBytes: Int, holdings: SpoolHoldings,
        patience: Duration = .seconds(20), logger: Logger
    ) {
        self.patience = patience
        self.logger = logger
        let committer = Committer(
            ledger: ledger, writer: writer, ledgerBytes: ledgerBytes, holdings: holdings, logger: logger
        ) { [aside] in aside.async(execute: $0) }
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

    /// Queues a batch and returns at once.
    ///
    /// - Parameter answer: called on `eventLoop` when the batch is durable, or with why it is not, and then nothing of it
    ///   counts.
    func commit(
        _ batch: Batch, _ record: NewRecord, on eventLoop: any EventLoop,
        then answer: @escaping @Sendable (Result<Acknowledgement, Failure>) -> Void
    ) {
        submit(Waiter(batch: (batch, record), home: eventLoop) { answer(Self.acknowledgement(in: $0)) })
    }

    /// Returns when the batch is durable; throws when it is not, and then nothing of it counts.
    func commit(_ batch: Batch, _ record: NewRecord) async throws(Failure) -> Acknowledgement {
        try Self.acknowledgement(in: await outcome(of: (batch, record))).get()
    }

    /// Returns when the spool can be written; throws why not.
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

    /// What `question` makes of the ledger between two groups, when all its keys are durable; nil when the thread does not
    /// come to it in time, as with a disk that does not answer, or when too many ask.
    ///
    /// All batches wait meanwhile: it takes two milliseconds at most, and asks again for the rest.
    func ask<Answer: Sendable>(
        within patience: Duration = .seconds(1), _ question: @escaping @Sendable (MinuteLedger) -> Answer
    ) async -> Answer? {
        await withCheckedContinuation { continuation in
            let number = queue.withLock { queue -> Int? in
                guard !queue.isStopping, queue.questions.count < Self.maximumQuestions else { return nil }
                queue.lastQuestion += 1
                queue.questions.append(
                    Question(
                        number: queue.lastQuestion, answer: { continuation.resume(returning: question($0)) },
                        giveUp: { continuation.resume(returning: nil) }))
                return queue.lastQuestion
            }
            guard let number else { return continuation.resume(returning: nil) }
            wake.signal()
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

    /// Whether the disk has kept a group for longer than anybody should wait.
    var isStalled: Bool { queue.withLock { $0.isStalled } }

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

    private func submit(_ waiter: Waiter) {
        let (accepted, isFirst, isUnwatched) = queue.withLock { queue in
            guard !queue.isStopping else { return (false, false, false) }
            queue.waiting.append(waiter)
            defer { queue.isWatched = true }
            return (true, queue.waiting.count == 1, !queue.isWatched)
        }
        if !accepted { Self.answer([waiter], [.failure(.stopping)]) }
        if isFirst { wake.signal() }
        if isUnwatched { watch(after: patience) }
    }

    /// Looks, as long as anybody waits, for those who have waited too long: the thread itself may be stuck in the disk.
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
                late += queue.waiting.filter(isLate)
                queue.waiting.removeAll(where: isLate)
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

    private func run(_ committer: Committer) {
        var committer = committer
        while true {
            // One between two groups, so that neither waits for the other.
            takeQuestion()?.answer(committer.ledger)
            let (group, isStopping) = queue.withLock { queue in
                let group = queue.waiting
                queue.waiting = []
                queue.inProgress = group
                return (group, queue.isStopping)
            }
            if !group.isEmpty {
                let outcomes = committer.commit(group.map(\.batch))
                let waiters = queue.withLock { queue in
                    defer { (queue.inProgress, queue.isStalled) = ([], false) }
                    return queue.inProgress
                }
                Self.answer(waiters, outcomes)
                committer.rotateIfDue()
            } else if isStopping {
                committer.stop()
                aside.sync {}
                while let question = takeQuestion() { question.giveUp() }
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

    /// Answers all that wait, with one call to each event loop.
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
