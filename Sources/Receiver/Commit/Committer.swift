import Ledger
import Logging
import Readings
import Spool

/// The part of group commit that one thread holds at a time: the ledger and the writer, kept in step.
///
/// A group is written, then synchronized, then completed. No thread needs the committer during a sync, so the next
/// group may be written behind the first one. When that next group completes, the first one has completed before it, or
/// both have failed.
struct Committer {
    private(set) var ledger: MinuteLedger
    private let writer: SpoolWriter
    private var directory: SpoolDirectory { writer.directory }
    private let ledgerBytes: Int
    private let spoolState: SpoolState
    private let logger: Logger
    private let background: (@escaping @Sendable () -> Void) -> Void
    /// The groups that were written, or could not be, and are not complete yet; in order.
    private var groups: [Group] = []
    private var warnedAt: ContinuousClock.Instant?
    /// When the spool's mark of the ledger was written, and whether there is one that says that the ledger is large.
    private var markedAt: ContinuousClock.Instant?
    private var isMarkedLarge: Bool
    /// Why the writer closed the segment of these groups. When it is set, none of them counts.
    private var failure: SpoolError?

    /// - Parameter background: runs work for which no batch waits, in the order of submission. The default runs it at once.
    init(
        ledger: MinuteLedger, writer: SpoolWriter, ledgerBytes: Int, spoolState: SpoolState, logger: Logger,
        background: @escaping (@escaping @Sendable () -> Void) -> Void = { $0() }
    ) {
        self.ledger = ledger
        self.writer = writer
        self.ledgerBytes = ledgerBytes
        self.spoolState = spoolState
        self.logger = logger
        self.background = background
        isMarkedLarge = writer.directory.ledgerMark()?.isLarge ?? false
    }

    /// Batches that were written together, or could not be written.
    private struct Group {
        /// The outcome of each batch once it is durable.
        let outcomes: [CommitOutcome]
        let undoLog: MinuteLedger.UndoLog
        var isWritten = true

        init(_ outcomes: [CommitOutcome], _ undoLog: MinuteLedger.UndoLog) {
            self.outcomes = outcomes
            self.undoLog = undoLog
        }

        init(_ batches: Int, refused failure: CommitFailure) {
            self.init(Array(repeating: .failure(failure), count: batches), MinuteLedger.UndoLog())
            isWritten = false
        }
    }

    /// The sync that completes a number of groups.
    ///
    /// `synchronization` is nil when none of the groups is written.
    struct PendingSync: Sendable {
        fileprivate let groups: Int
        fileprivate let synchronization: SegmentSynchronization?

        /// Blocks until the disk is done; returns how long it took.
        func run() -> Result<Duration, SpoolError> {
            Result { () throws(SpoolError) in try synchronization?.run() ?? .zero }
        }
    }

    /// Writes the batches and counts them against the ledger, behind the groups that are not complete yet.
    mutating func write(_ batches: [(content: Batch, record: NewRecord)?]) {
        if isIdle { rotateIfDue() }
        // A probe, which has no batch, finds out whether a full ledger may evict keys by now.
        if batches.contains(where: { $0 == nil }),
            MinuteLedger.refusesNewDevices(at: ledger.approximateBytes, of: ledgerBytes)
        {
            writer.recount()
        }
        var isAdmitted: [Bool] = []
        var records: [NewRecord] = []
        for batch in batches {
            isAdmitted.append(admits(batch?.content))
            if isAdmitted.last == true, let batch { records.append(batch.record) }
        }
        guard isAdmitted.contains(true) else { return groups.append(Group(batches.count, refused: .ledgerFull)) }
        do throws(SpoolError) {
            var positions = try writer.write(records).makeIterator()
            var undoLog = MinuteLedger.UndoLog()
            let outcomes = zip(batches, isAdmitted).map { batch, isAdmitted -> CommitOutcome in
                guard isAdmitted else { return .failure(.ledgerFull) }
                guard let batch, let position = positions.next() else { return .success(nil) }
                let count = ledger.insert(batch.content, in: position.segment, undoLog: &undoLog)
                return .success(
                    Acknowledgement(
                        inserted: count.inserted, duplicates: count.duplicates, position: position))
            }
            groups.append(Group(outcomes, undoLog))
        } catch {
            groups.append(Group(batches.count, refused: .spool(error)))
            if writer.segment == nil { failure = failure ?? error }
        }
    }

    /// Whether there is memory for the batch's keys. Without it, the ledger first evicts the keys of removed segments.
    private mutating func admits(_ batch: Batch?) -> Bool {
        guard let batch, !ledger.admits(batch, below: ledgerBytes) else { return true }
        writer.recount()
        ledger.evict(before: writer.oldest)
        guard !ledger.admits(batch, below: ledgerBytes) else { return true }
        warnOfRefusedDevices(in: batch)
        return false
    }

    /// Names devices that a full ledger refuses, at most once in ten seconds, so that an operator can
    /// find a sender of random names.
    private mutating func warnOfRefusedDevices(in batch: Batch) {
        let now = ContinuousClock.now
        if let warnedAt, warnedAt.duration(to: now) < .seconds(10) { return }
        warnedAt = now
        let unknown = batch.devices.filter { !ledger.knows($0) }
        let reason =
            unknown.isEmpty ? "full: batches with new days of devices" : "nearly full: batches with new devices"
        logger.error(
            "the ledger of minute keys (INGEST_LEDGER_BYTES) is \(reason) are refused",
            metadata: [
                "ledger_bytes": "\(ledger.approximateBytes)", "limit_bytes": "\(ledgerBytes)",
                "new_devices": "\(unknown.prefix(3).map(\.description).joined(separator: " "))",
            ])
    }

    /// Whether every group is complete.
    var isIdle: Bool { groups.isEmpty }

    /// The sync that completes every group written so far; nil when no group waits for one.
    var pendingSync: PendingSync? {
        guard !groups.isEmpty else { return nil }
        let isWritten = failure == nil && groups.contains(where: \.isWritten)
        return PendingSync(groups: groups.count, synchronization: isWritten ? writer.synchronization : nil)
    }

    /// Completes the sync's groups; returns the outcomes of their batches in the order in which they were written.
    ///
    /// A failed sync also fails the groups that were written meanwhile: none of them counts, and their outcomes follow.
    mutating func complete(_ sync: PendingSync, _ result: Result<Duration, SpoolError>) -> [CommitOutcome] {
        do throws(SpoolError) {
            let took = try result.get()
            if let failure { throw failure }
            if let synchronization = sync.synchronization { writer.markDurable(synchronization, took: took) }
            let outcomes = groups.prefix(sync.groups).flatMap(\.outcomes)
            groups.removeFirst(sync.groups)
            ledger.evict(before: writer.oldest)
            report(outcomes)
            return outcomes
        } catch {
            writer.discardSegment()
            // These keys were never acknowledged, so they may be sent, and counted, again (invariant 5).
            for group in groups.reversed() { ledger.undo(group.undoLog) }
            let outcomes = groups.flatMap { group -> [CommitOutcome] in
                group.isWritten ? group.outcomes.map { _ in .failure(.spool(error)) } : group.outcomes
            }
            (groups, failure) = ([], nil)
            report(outcomes)
            return outcomes
        }
    }

    private mutating func report(_ outcomes: [CommitOutcome]) {
        markLedger()
        spoolState.update { state in
            for outcome in outcomes {
                switch outcome {
                case .success(let acknowledgement):
                    if state.failure != nil { logger.notice("the spool can be written again") }
                    state.failure = nil
                    guard let last = acknowledgement?.position else { continue }
                    if state.records[last.segment] == nil {
                        state.records = state.records.filter { $0.key >= writer.oldest }
                    }
                    state.records[last.segment] = last.sequence
                case .failure(.spool(let error)):
                    if state.failure == nil { logger.error("the spool cannot be written: \(error)") }
                    state.failure = error.description
                case .failure: continue
                }
            }
            state.ledgerBytes = ledger.approximateBytes
            state.devices = ledger.deviceCount
        }
    }

    /// Leaves a mark in the spool while the ledger is large, and once when it no longer is, at most once in ten seconds.
    private mutating func markLedger() {
        let bytes = ledger.approximateBytes
        let isLarge = LedgerMark.isLarge(bytes, of: ledgerBytes)
        guard isLarge || isMarkedLarge else { return }
        let now = ContinuousClock.now
        if let markedAt, markedAt.duration(to: now) < .seconds(10), isLarge == isMarkedLarge { return }
        (markedAt, isMarkedLarge) = (now, isLarge)
        // For display only: a mark that cannot be written is written again.
        background { [directory, ledgerBytes] in try? directory.write(LedgerMark(bytes: bytes, limitBytes: ledgerBytes))
        }
    }

    /// Bytes of batches that may be written during a sync of earlier bytes; 0 when that sync has to complete first.
    var roomAhead: Int {
        guard failure == nil, writer.segment != nil, !writer.isDue else { return 0 }
        return (try? writer.room()) ?? 0
    }

    /// Seals a segment that has reached its length or age limit; better before a batch waits for it.
    func rotateIfDue() {
        if writer.isDue { seal() }
    }

    private func seal() {
        guard let sealed = writer.seal(), let keys = ledger.keys(of: sealed.number) else { return }
        let digest = LedgerDigest(
            spool: directory.identity, segment: sealed.number, created: sealed.created, records: sealed.records,
            bytes: sealed.bytes, keys: keys)
        background { [directory, oldest = writer.oldest] in
            directory.write(digest)
            directory.removeDigests(before: oldest)
            directory.mergeDigests()
        }
    }

    /// Time until the open segment is due for rotation; nil if none is open.
    var untilRotation: Duration? { writer.untilRotation }

    func stop() { seal() }
}
