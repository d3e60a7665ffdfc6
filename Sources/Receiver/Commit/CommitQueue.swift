// Commit: group commit: batches to the disk, their minute keys to the ledger.
// Begin here, then GroupCommit.swift.
// Uses Ledger, Readings, Spool, Time.

/// The decisions of group commit: which batches are written and synchronized together, which thread does it, and who has
/// waited too long. It is a value without threads, clock and disk: its functions take events, and their results are
/// the steps that `GroupCommit` takes.
///
/// Two threads work for it. The commit thread asks for its `next` step again and again. Between two groups it answers a
/// query and writes all waiting batches, then it synchronizes them. While it waits for the disk, the ahead thread takes
/// pieces of the batches that have arrived meanwhile, if there are enough bytes, and writes them behind the group.
///
/// At most one group is taken and not yet written, so batches complete in the order in which they were taken.
struct CommitQueue<Batch, Query> {
    typealias Instant = ContinuousClock.Instant

    struct Limits {
        /// How long a batch may wait before it fails.
        var timeout: Duration
        /// The ahead thread writes once this many bytes wait during a sync.
        var aheadBytes = 256 << 10
        /// The ahead thread takes about this many bytes at a time, so that the commit thread soon gets its turn.
        var pieceBytes = 1 << 20
        var queries = 64
    }

    /// Threads to wake, and when the timer has to ring beside its earlier rings.
    struct Wake: Equatable {
        var commit = false
        var ahead = false
        var timer: Instant?
    }

    /// The next step of the commit thread.
    enum Step {
        /// Every key in the ledger is durable now: answer the query, then write the batches.
        case work(Query?, [Batch])
        /// Synchronize the written batches, then report `synchronized` and `completed`.
        case synchronize(Wake)
        /// Report `rested`, then wait to be woken.
        case rest
        case end
    }

    private struct Entry {
        let batch: Batch
        let bytes: Int
        let deadline: Instant
    }

    private enum CommitThread { case running, synchronizing, resting, awaitingPiece }
    /// Exhausted: the next waiting batch did not fit, so the ahead thread is not called again during this sync.
    private enum AheadThread { case idle, called, writing, exhausted }

    private let limits: Limits
    private var commitThread = CommitThread.running
    private var aheadThread = AheadThread.idle
    private var waiting: [Entry] = []
    private var waitingBytes = 0
    /// Batches that were taken and are not complete, in order; nil for one that has timed out.
    private var inProgress: [Entry?] = []
    private var queries: [(query: Query, deadline: Instant)] = []
    private var rotation: Instant?
    /// The earliest ring that the timer was asked for.
    private var timer: Instant?
    private var isStopping = false
    /// Whether a batch has timed out, and the disk has not finished since.
    private(set) var isStalled = false

    init(_ limits: Limits) { self.limits = limits }

    /// A batch arrived, or a probe, which has no bytes. Returns nil when it is too late for it.
    mutating func arrived(_ batch: Batch, bytes: Int, at now: Instant) -> Wake? {
        guard !isStopping else { return nil }
        let entry = Entry(batch: batch, bytes: bytes, deadline: now + limits.timeout)
        waiting.append(entry)
        waitingBytes += bytes
        return Wake(commit: wakesCommit(), ahead: wakesAhead(), timer: timer(at: entry.deadline))
    }

    /// A query arrived. Returns nil when there are too many already, or when it is too late for it.
    mutating func arrived(_ query: Query, deadline: Instant) -> Wake? {
        guard !isStopping, queries.count < limits.queries else { return nil }
        queries.append((query, deadline))
        return Wake(commit: wakesCommit(), timer: timer(at: deadline))
    }

    /// No further batch is accepted; waiting ones are still completed.
    mutating func stop() -> Wake {
        isStopping = true
        return Wake(commit: wakesCommit())
    }

    /// The commit thread is ready. Returns its next step.
    mutating func next() -> Step {
        guard inProgress.isEmpty else {
            commitThread = .synchronizing
            if aheadThread == .exhausted { aheadThread = .idle }
            return .synchronize(Wake(ahead: wakesAhead()))
        }
        isStalled = false
        guard !queries.isEmpty || !waiting.isEmpty else {
            guard !isStopping else { return .end }
            commitThread = .resting
            return .rest
        }
        // One query between two groups, so that neither queries nor batches wait for all of the others.
        let query = queries.isEmpty ? nil : queries.removeFirst().query
        return .work(query, take().map(\.batch))
    }

    /// A sync has ended. Returns whether the commit thread has to wait before it completes the batches: it is woken once
    /// the ahead thread has written its piece.
    mutating func synchronized() -> Bool {
        commitThread = aheadThread == .writing ? .awaitingPiece : .running
        return commitThread == .awaitingPiece
    }

    /// A sync has succeeded or failed, and the first `count` batches have their outcome. Returns them; nil for one that
    /// has timed out.
    mutating func completed(_ count: Int) -> [Batch?] {
        let completed = inProgress.prefix(count).map { $0?.batch }
        inProgress.removeFirst(count)
        isStalled = inProgress.contains { $0 == nil }
        return completed
    }

    /// The commit thread is about to wait, and the open segment, if there is one, has to be rotated at `rotation`.
    mutating func rested(until rotation: Instant?) -> Wake {
        self.rotation = rotation
        return Wake(timer: rotation.flatMap { timer(at: $0) })
    }

    /// The commit thread has ended. Returns the queries that will get no answer.
    mutating func ended() -> [Query] {
        defer { queries.removeAll() }
        return queries.map(\.query)
    }

    /// The ahead thread is ready. Returns the next batches to write during the sync, or nil when the thread has to wait
    /// until it is woken.
    ///
    /// - Parameter room: bytes that may be written before the sync is complete.
    mutating func nextPiece(within room: Int) -> [Batch]? {
        guard isWorthAhead else {
            aheadThread = .idle
            return nil
        }
        let piece = room > 0 ? take(about: limits.pieceBytes, within: room) : []
        aheadThread = piece.isEmpty ? .exhausted : .writing
        return piece.isEmpty ? nil : piece.map(\.batch)
    }

    /// The ahead thread has written its piece.
    mutating func pieceWritten() -> Wake {
        aheadThread = .called
        defer { if commitThread == .awaitingPiece { commitThread = .running } }
        return Wake(commit: commitThread == .awaitingPiece)
    }

    /// The timer rang. Returns the batches and queries that have waited too long.
    mutating func rang(at now: Instant) -> (batches: [Batch], queries: [Query], wake: Wake) {
        // A ring that was asked for before an earlier one.
        guard let timer, timer <= now else { return ([], [], Wake()) }
        var late: [Batch] = []
        for (index, entry) in inProgress.enumerated() {
            guard let entry, entry.deadline <= now else { continue }
            late.append(entry.batch)
            inProgress[index] = nil
        }
        // Deadlines of waiting batches ascend.
        let lateWaiting = waiting.prefix { $0.deadline <= now }
        late += lateWaiting.map(\.batch)
        waitingBytes -= lateWaiting.reduce(0) { $0 + $1.bytes }
        waiting.removeFirst(lateWaiting.count)
        if !late.isEmpty { isStalled = true }
        let lateQueries = queries.filter { $0.deadline <= now }.map(\.query)
        queries.removeAll { $0.deadline <= now }

        let isDue = rotation.map { $0 <= now } ?? false
        if isDue { rotation = nil }
        self.timer = nil
        let deadlines = inProgress.lazy.compactMap(\.?.deadline).min()
        let next = [deadlines, waiting.first?.deadline, queries.map(\.deadline).min(), rotation].compactMap { $0 }.min()
        return (
            late, lateQueries, Wake(commit: isDue && wakesCommit(), timer: next.flatMap { self.timer(at: $0) })
        )
    }

    /// Removes the batches that have waited longest: until they have about `bytes` bytes together, and no more than fit
    /// into `room`.
    private mutating func take(about bytes: Int = .max, within room: Int = .max) -> [Entry] {
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

    /// Whether enough waits during a sync for the ahead thread.
    ///
    /// Not while a query waits, because a query needs every group to be complete. Not after a batch has timed out:
    /// nothing more is written behind its group, however long the disk takes.
    private var isWorthAhead: Bool {
        commitThread == .synchronizing && !isStalled && queries.isEmpty && waitingBytes >= limits.aheadBytes
    }

    private mutating func wakesAhead() -> Bool {
        guard aheadThread == .idle, isWorthAhead else { return false }
        aheadThread = .called
        return true
    }

    private mutating func wakesCommit() -> Bool {
        guard commitThread == .resting else { return false }
        commitThread = .running
        return true
    }

    /// Returns the instant if the timer has to be asked for it; nil when an earlier ring will do.
    private mutating func timer(at instant: Instant) -> Instant? {
        if let timer, timer <= instant { return nil }
        timer = instant
        return instant
    }
}
