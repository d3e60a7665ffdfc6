import Dispatch
import Logging
import Readings
import Spool
import Time

/// The part of group commit that one thread has at a time: the ledger and the writer, in step.
///
/// A group is written, then synchronized, then settled. While the disk synchronizes, for which nobody needs this, the next
/// group may be written behind it: when that is settled, so was the one before, or both have failed.
struct Committer {
    private(set) var ledger: MinuteLedger
    private let writer: SpoolWriter
    private var directory: SpoolDirectory { writer.directory }
    private let ledgerBytes: Int
    private let holdings: SpoolHoldings
    private let logger: Logger
    private let aside: (@escaping @Sendable () -> Void) -> Void
    /// What was written, or could not be, and is not settled; in order.
    private var groups: [Group] = []
    /// Why the segment of these groups was left: none of them counts.
    private var failure: SpoolError?

    /// - Parameter aside: does what no batch has to wait for, in the order in which it is given it; at once unless told.
    init(
        ledger: MinuteLedger, writer: SpoolWriter, ledgerBytes: Int, holdings: SpoolHoldings, logger: Logger,
        aside: @escaping (@escaping @Sendable () -> Void) -> Void = { $0() }
    ) {
        self.ledger = ledger
        self.writer = writer
        self.ledgerBytes = ledgerBytes
        self.holdings = holdings
        self.logger = logger
        self.aside = aside
    }

    /// Batches that were written together, or could not be.
    private struct Group {
        /// What each comes to once it is durable.
        let outcomes: [GroupCommit.Outcome]
        let claims: MinuteLedger.Claims
        var isWritten = true

        init(_ outcomes: [GroupCommit.Outcome], _ claims: MinuteLedger.Claims) {
            self.outcomes = outcomes
            self.claims = claims
        }

        init(_ batches: Int, refused failure: GroupCommit.Failure) {
            self.init(Array(repeating: .failure(failure), count: batches), MinuteLedger.Claims())
            isWritten = false
        }
    }

    /// What is to be synchronized before the batches of so many groups are answered; nothing when none of them is written.
    struct Turn: Sendable {
        fileprivate let groups: Int
        fileprivate let synchronization: SegmentSynchronization?

        /// Returns when the disk is done, and says how long it took.
        func synchronize() -> Result<Duration, SpoolError> {
            Result { () throws(SpoolError) in try synchronization?.run() ?? .zero }
        }
    }

    /// Makes the batches durable, all of them together, or says why not.
    mutating func commit(_ batches: [(content: Batch, record: NewRecord)?]) -> [GroupCommit.Outcome] {
        write(batches)
        guard let turn else { return [] }
        return settle(turn, turn.synchronize())
    }

    /// Writes the batches and counts them against the ledger, behind those that are not settled yet.
    mutating func write(_ batches: [(content: Batch, record: NewRecord)?]) {
        guard ledger.approximateBytes < ledgerBytes else {
            return groups.append(Group(batches.count, refused: .ledgerFull))
        }
        if isSettled { rotateIfDue() }
        do throws(SpoolError) {
            var positions = try writer.write(batches.compactMap { $0?.record }).makeIterator()
            var claims = MinuteLedger.Claims()
            let outcomes = batches.map { batch -> GroupCommit.Outcome in
                guard let batch, let position = positions.next() else { return .success(nil) }
                let count = ledger.claim(batch.content, in: position.segment, noting: &claims)
                return .success(
                    GroupCommit.Acknowledgement(
                        inserted: count.inserted, duplicates: count.duplicates, position: position))
            }
            groups.append(Group(outcomes, claims))
        } catch {
            groups.append(Group(batches.count, refused: .spool(error)))
            if writer.segment == nil { failure = failure ?? error }
        }
    }

    /// Whether all that was written is settled.
    var isSettled: Bool { groups.isEmpty }

    /// What has to be synchronized for all that is written by now; nil when nothing waits for that.
    var turn: Turn? {
        guard !groups.isEmpty else { return nil }
        let isWritten = failure == nil && groups.contains(where: \.isWritten)
        return Turn(groups: groups.count, synchronization: isWritten ? writer.synchronization : nil)
    }

    /// The outcomes of the turn's batches, in the order in which they were written.
    ///
    /// A failure is everybody's: of what was written meanwhile nothing counts either, and its outcomes follow.
    mutating func settle(_ turn: Turn, _ result: Result<Duration, SpoolError>) -> [GroupCommit.Outcome] {
        do throws(SpoolError) {
            let took = try result.get()
            if let failure { throw failure }
            if let synchronization = turn.synchronization { writer.confirm(synchronization, took: took) }
            let outcomes = groups.prefix(turn.groups).flatMap(\.outcomes)
            groups.removeFirst(turn.groups)
            ledger.forget(before: writer.oldest)
            report(outcomes)
            return outcomes
        } catch {
            writer.abandon()
            let outcomes = groups.flatMap { group -> [GroupCommit.Outcome] in
                // Nobody was told of these keys, so they may be sent, and counted, again (invariant 5).
                ledger.forget(group.claims)
                return group.isWritten ? group.outcomes.map { _ in .failure(.spool(error)) } : group.outcomes
            }
            (groups, failure) = ([], nil)
            report(outcomes)
            return outcomes
        }
    }

    private func report(_ outcomes: [GroupCommit.Outcome]) {
        holdings.update { state in
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

    /// Bytes of batches that may be written while what was written before is synchronized; 0 when that has to be settled
    /// first.
    var roomMeanwhile: Int {
        guard failure == nil, writer.segment != nil, !writer.isDue, ledger.approximateBytes < ledgerBytes else {
            return 0
        }
        return (try? writer.room()) ?? 0
    }

    /// Leaves a segment whose length or age is reached; better before somebody waits for it.
    func rotateIfDue() {
        if writer.isDue { seal() }
    }

    private func seal() {
        guard let sealed = writer.seal(), let keys = ledger.keys(of: sealed.number) else { return }
        let digest = LedgerDigest(
            spool: directory.identity, segment: sealed.number, created: sealed.created, records: sealed.records,
            bytes: sealed.bytes, keys: keys)
        aside { [directory, oldest = writer.oldest] in
            directory.write(digest)
            directory.removeDigests(before: oldest)
        }
    }

    var nextTurn: DispatchTime {
        guard let left = writer.untilRotation else { return .distantFuture }
        return .now() + left.inSeconds + 0.001
    }

    func stop() { seal() }
}
