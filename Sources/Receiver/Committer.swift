import Dispatch
import Logging
import Readings
import Spool

/// The part of group commit that its thread owns: the ledger and the writer, in step.
struct Committer {
    private(set) var ledger: MinuteLedger
    private let writer: SpoolWriter
    private var directory: SpoolDirectory { writer.directory }
    private let ledgerBytes: Int
    private let holdings: SpoolHoldings
    private let logger: Logger
    private let aside: (@escaping @Sendable () -> Void) -> Void

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

    /// Makes the batches durable, all of them together, or says why not.
    mutating func commit(_ group: [(content: Batch, record: NewRecord)?]) -> [GroupCommit.Outcome] {
        guard ledger.approximateBytes < ledgerBytes else {
            return group.map { _ in .failure(.ledgerFull) }
        }
        rotateIfDue()
        var claims = MinuteLedger.Claims()
        var counts: [(inserted: Int, duplicates: Int)?] = []
        do throws(SpoolError) {
            let positions = try writer.append(group.compactMap { $0?.record }) { segment in
                counts = group.map { batch in batch.map { ledger.claim($0.content, in: segment, noting: &claims) } }
            }
            ledger.forget(before: writer.oldest)
            report(positions)
            var next = positions.makeIterator()
            return counts.map { count in
                guard let count, let position = next.next() else { return .success(nil) }
                return .success(
                    GroupCommit.Acknowledgement(
                        inserted: count.inserted, duplicates: count.duplicates, position: position))
            }
        } catch {
            // Nobody was told of these keys, so they may be sent, and counted, again (invariant 5).
            ledger.forget(claims)
            holdings.update { state in
                if state.failure == nil { logger.error("the spool cannot be written: \(error)") }
                state.failure = error.description
            }
            return group.map { _ in .failure(.spool(error)) }
        }
    }

    private func report(_ positions: [SpoolPosition]) {
        holdings.update { state in
            if state.failure != nil { logger.notice("the spool can be written again") }
            state.failure = nil
            state.ledgerBytes = ledger.approximateBytes
            state.devices = ledger.deviceCount
            guard let last = positions.last else { return }
            if state.records[last.segment] == nil { state.records = state.records.filter { $0.key >= writer.oldest } }
            state.records[last.segment] = last.sequence
        }
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
