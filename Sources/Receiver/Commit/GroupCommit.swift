import Dispatch
import Glibc
import Logging
import NIOCore
import Readings
import Spool
import Synchronization
import Time

/// Makes batches durable together: whatever has arrived while the disk was busy shares the next `fdatasync`.
///
/// One thread takes all batches that wait, has the committer write them and count them against the ledger, synchronizes
/// them, and only then answers (invariant 1). While it waits for the disk a second one writes what has gathered, if that
/// is much, so that disk and processor work at the same time; only the first one synchronizes and answers. Groups become
/// durable in the order in which they were written, and a failure is also that of those behind it: no batch ever counts as
/// a duplicate of one that is not durable by the time it is answered (invariant 5).
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
        var bytes: Int { batch?.record.bytes ?? 0 }
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
        var waitingBytes = 0
        var questions: [Question] = []
        var lastQuestion = 0
        /// Those that the committer was given, in order; nil for those that have been answered already.
        var inProgress: [Waiter?] = []
        /// Whether somebody was answered because of the time that the disk takes, and the disk is not done since.
        var isStalled = false
        /// Whether a look at who has waited too long is due.
        var isWatched = false
        /// Whether the first thread waits for the disk.
        var isSynchronizing = false
        /// Whether it waits for work.
        var isFirstIdle = false
        /// Whether the second thread was told of work, and has not found that there is no more.
        var isSecondCalled = false
        var isStopping = false
        var isStopped = false
        var stopped: [CheckedContinuation<Void, Never>] = []

        /// Hands over those that have waited longest: until they have so many bytes together, and no more than there is
        /// room for.
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

        /// Whether the first thread is to begin; it is told once.
        mutating func callsFirst() -> Bool {
            defer { isFirstIdle = false }
            return isFirstIdle
        }

        /// Whether the second thread is to begin; it is told once.
        mutating func callsSecond() -> Bool {
            guard isWorthSecond, !isSecondCalled else { return false }
            isSecondCalled = true
            return true
        }

        /// Whether so much waits for the disk that another thread's wake-up is the lesser cost. A question is for when all
        /// is settled; and behind a group that somebody has given up nothing more is written, however long it takes.
        var isWorthSecond: Bool {
            isSynchronizing && !isStalled && waitingBytes >= GroupCommit.secondBytes && questions.isEmpty
        }
    }

    /// From so many bytes on a second thread writes while the first one synchronizes.
    private static let secondBytes = 256 << 10
    /// It writes so much at a time, so that the first one soon has its turn.
    private static let pieceBytes = 1 << 20

    private let queue = Mutex(Queue())
    private let committer: Mutex<Committer>
    private let first = DispatchSemaphore(value: 0)
    private let second = DispatchSemaphore(value: 0)
    private let patience: Duration
    private let logger: Logger
    /// For the digests of segments that were left, which no batch has to wait for.
    private let aside = DispatchQueue(label: "digests")

    /// Starts the threads, which own `ledger` and `writer` from here on.
    ///
    /// - Parameter patience: how long a batch waits for the disk before it is answered that it may not be durable.
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
        // Threads of their own: the disk blocks, and neither an event loop nor the cooperative pool may.
        Self.startThread { self.run() }
        Self.startThread { self.writeMeanwhile() }
    }

    private static func startThread(_ body: @escaping () -> Void) {
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
        precondition(result == 0, "cannot start a thread of the spool: error \(result)")
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

    /// Whether the disk has kept a group for longer than anybody should wait.
    var isStalled: Bool { queue.withLock { $0.isStalled } }

    /// Answers everything that waits, leaves the segment in good order and ends the threads.
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
                    // One between two groups, so that neither waits for the other.
                    takeQuestion()?.answer(committer.ledger)
                    // Better before somebody waits for it.
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
                // Who is told when the time is over already costs one more turn.
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

    /// What the second thread does.
    private func writeMeanwhile() {
        while true {
            second.wait()
            while writePiece() {}
            if queue.withLock({ $0.isStopped }) { return }
        }
    }

    /// Writes some of what waits, and returns whether there was enough of it, while the first thread synchronizes.
    private func writePiece() -> Bool {
        committer.withLock { committer in
            // What there is no room for is the first thread's; this one is not called again before the next group.
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
