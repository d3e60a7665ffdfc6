import Logging
import Postgres
import Spool
import SystemPackage

/// Drains a spool over one connection: it has the spool's lease in the database and knows the progress there.
///
/// While neither the loaded segments nor the progress change, a pass costs the same for any number of them.
final class DrainSession {
    private let directory: SpoolDirectory
    private let context: SegmentDrain.Context
    /// The progress of the segments from `progressFrom` on.
    private var progress: [Progress.Key: Progress] = [:]
    private var progressFrom = Int.max
    private var progressRead = ContinuousClock.now
    private var leaseRenewed = ContinuousClock.now
    private var loaded: LoadedSegments
    /// The live segment, and its length when it was last fully loaded.
    private var live: (segment: Int, bytes: Int)?
    private let retention: Retention
    private let deadLetterRetention: Duration?
    private let databaseSleeps: Bool
    private let rowRetention: RowRetention?
    private var pruned: ContinuousClock.Instant?
    /// All records before `position` are loaded. `markedPosition` is the position in the spool's load mark.
    private var position: Position?
    private var markedPosition: Position?
    private var isContiguous = true
    /// Whether this pass had no error so far. `drainMarked` is the time when the drain mark was last written.
    private var isClean = true
    private var drainMarked: ContinuousClock.Instant?

    private struct Position: Equatable {
        let segment: Int
        let bytes: Int
        let records: Int
    }

    /// Progress is read again at this interval, in case the database was restored during a session.
    private static let progressAge = Duration.seconds(60)
    /// Minimum interval between two writes of the drain mark.
    private static let drainMarkAge = Duration.seconds(10)
    /// Minimum interval between two searches for expired segments.
    private static let pruningAge = Duration.seconds(60)
    private var partitionsKept: ContinuousClock.Instant?

    /// Connects and takes the lease.
    ///
    /// - Parameter lockTimeout: timeout for the lease, as the server may need a moment to detect that a killed loader
    ///   is gone, and to end its transaction.
    init(
        _ drain: Drain, directory: SpoolDirectory, report: DrainReport, lockTimeout: Duration
    ) throws {
        self.directory = directory
        retention = drain.retention
        deadLetterRetention = drain.deadLetterRetention
        databaseSleeps = drain.databaseSleep > .zero
        rowRetention = drain.rowRetention
        let connection = try drain.database.connect()
        let table = drain.database.table
        context = SegmentDrain.Context(
            directory: directory, connection: connection, table: ReadingTable(name: table),
            partitions: PartitionUpkeep(table: table, connection: connection) { drain.logger.info("\($0)") },
            progressTable: ProgressTable(spool: directory.identity, beside: table),
            lease: SpoolLease(of: directory, beside: table),
            deadLetters: DeadLetters(directory: directory, limits: drain.limits),
            statementRows: drain.statementRows, report: report,
            logger: drain.logger, shutdown: drain.shutdown)
        let state = try Self.begin(context, timeout: lockTimeout)
        markedPosition = directory.loadMark().map {
            Position(segment: $0.segment, bytes: $0.bytes, records: $0.records)
        }
        // A load mark that was lost is written by a pass over all segments.
        loaded = LoadedSegments(mark: markedPosition == nil ? nil : directory.drainMark()?.settled, state: state)
    }

    /// Goes through all segments once, in the order of their numbers, and loads the records that are not loaded.
    ///
    /// It includes the segments in `loaded/`: after a restore of the database, the spool refills it (invariant 6).
    ///
    /// - Returns: the segments, as listed before the pass; those that it has moved to `loaded/` are there.
    @discardableResult
    func pass() throws -> [SpoolDirectory.Segment] {
        try renewLease()
        // List before any segment is opened: a segment with a successor in this list was closed before it is read.
        var segments = try directory.segments()
        try refreshProgress(segments)
        isContiguous = true
        isClean = true
        defer { writeMark() }
        for (index, segment) in segments.enumerated() {
            if context.shutdown.isRequested { return segments }
            if segment.isLoaded, loaded.contains(segment.number) { continue }
            do {
                let isClosed = segment.isLoaded || segment.number != segments.last?.number
                if let finished = try drain(segment, isClosed: isClosed) {
                    segments[index] = finished
                } else {
                    isContiguous = false
                }
            } catch SpoolError.disk(_, let path, .noSuchFileOrDirectory) where path == segment.path {
                // The receiver removes a segment in which no record ever became durable. A loaded one was pruned by hand.
                context.logger.debug("\(path) is gone again")
                if segment.isLoaded { (isContiguous, isClean) = (false, false) }
            } catch let error as SpoolError {
                // A problem with one file does not stop the others.
                context.report.problem(error.description)
                isContiguous = false
                isClean = false
            }
        }
        try prune(segments)
        try keepPartitions()
        guard !context.shutdown.isRequested else { return segments }
        if isClean { writeDrainMark() }
        if databaseSleeps, isClean { writeDatabaseMark() }
        return segments
    }

    /// Gives the lease back, so that another loader need not wait until it has expired.
    func end() {
        guard context.connection.isUsable else { return }
        do {
            try context.lease.release(on: context.connection)
        } catch {
            context.logger.debug("the lease is left to expire: \(error)")
        }
        context.connection.close()
    }

    private func prune(_ segments: [SpoolDirectory.Segment]) throws {
        if let pruned, ContinuousClock.now - pruned < Self.pruningAge { return }
        pruned = .now
        let pruning = Pruning(
            directory: directory, retention: retention, deadLetterRetention: deadLetterRetention,
            progressTable: context.progressTable, connection: context.connection)
        do {
            if !loaded.areSettled(segments, retention) { try removeExpired(pruning, segments) }
            let removed = try pruning.pruneDeadLetters()
            if !removed.isEmpty {
                context.logger.info("removed dead letters of \(removed.count.counted("day")) past their retention")
            }
        } catch let error as SpoolError {
            context.report.problem(error.description)
            isClean = false
        }
    }

    /// Creates partitions ahead of time and drops those past the retention. A failure stops no loading: a partition that
    /// a row needs is created with the row.
    private func keepPartitions() throws {
        if let partitionsKept, ContinuousClock.now - partitionsKept < Self.pruningAge { return }
        partitionsKept = .now
        do {
            try context.partitions.createAhead()
            if let rowRetention { try context.partitions.drop(pastRetention: rowRetention) }
        } catch let error as PostgresError where context.connection.isUsable {
            context.report.note("partitions are as they were, and are looked after again in a minute: \(error)")
        } catch let error as LoaderError {
            context.report.note("\(error)")
        }
    }

    private func removeExpired(_ pruning: Pruning, _ segments: [SpoolDirectory.Segment]) throws {
        // Read the progress again: a database that was just restored still needs segments that our memory calls
        // loaded (invariant 6).
        let removed = try pruning.run(context.progressTable.read(on: context.connection))
        for segment in removed.segments { loaded.remove(segment) }
        for path in removed.damaged {
            context.report.note("\(path) is kept beyond its time, because it is damaged")
        }
        let gone = Set(removed.segments)
        let state = try context.progressTable.state(on: context.connection)
        loaded.settle(
            segments.filter { !gone.contains($0.number) }, retention, state: state,
            try context.progressTable.read(on: context.connection))
        guard let oldest = removed.segments.first else { return }
        context.logger.info(
            "removed \(removed.segments.count.counted("loaded segment")) past their retention",
            metadata: ["bytes": "\(removed.bytes)", "oldest": "\(SpoolPosition.digits(oldest))"])
    }

    private func progress(of key: Progress.Key) throws(PostgresError) -> Progress? {
        if key.segment < progressFrom {
            progress = try context.progressTable.read(from: key.segment, on: context.connection)
            progressFrom = key.segment
        }
        return progress[key]
    }

    /// Returns the segment in `loaded/`, or nil if it is not fully loaded.
    private func drain(_ segment: SpoolDirectory.Segment, isClosed: Bool) throws -> SpoolDirectory.Segment? {
        if !isClosed, let live, live == (segment.number, FileLength.of(segment.path) ?? -1) { return nil }
        let firstLine = try SegmentFirstLine(of: try open(segment), at: segment.path)
        if let incompatibility = firstLine.header?.incompatibilities(in: directory, as: segment.number).first {
            throw SpoolError.unfit(segment.path, incompatibility)
        }
        guard firstLine.isWhole || isClosed else { return nil }
        let key = Progress.Key(segment: segment.number, created: firstLine.header?.created ?? "")
        let known = try progress(of: key)
        advance(segment, known ?? Progress())
        if let known, known.finished, try isAtItsEnd(segment, known, isClosed: isClosed) {
            return try markLoaded(segment, key)
        }

        context.decoder.rules = try firstLine.header?.readingRules(of: segment.path) ?? .standard
        let file = try directory.openAndSynchronize(segment)
        var drain = SegmentDrain(segment, file, key: key, from: known, in: context) { [self] progress in
            self.progress[key] = progress
            loaded.progressMoved()
            leaseRenewed = .now
            advance(segment, progress)
            writeMark()
            ProgressLine.show(context.report.summary)
        }
        switch try drain.run(isClosed: isClosed) {
        case .interrupted: return nil
        case .live:
            live = (segment.number, drain.end)
            return nil
        case .finished: break
        }
        let total = drain.progress
        context.logger.info(
            "segment \(SpoolPosition.digits(segment.number)) is loaded",
            metadata: [
                "records": "\(total.records)", "readings": "\(total.readings)", "inserted": "\(total.inserted)",
                "duplicates": "\(total.duplicates)", "rejected": "\(total.rejected)",
            ])
        return try markLoaded(segment, key)
    }

    /// Whether a finished segment has no more data than was loaded from it.
    ///
    /// It may have more if the spool was copied while it was in use. The copy's loader treats the segment that the
    /// original still writes to as closed, and both loaders share the same progress.
    private func isAtItsEnd(_ segment: SpoolDirectory.Segment, _ known: Progress, isClosed: Bool) throws -> Bool {
        let file = try open(segment)
        do throws(Errno) {
            guard try file.size() <= known.bytes else { return false }
            if isClosed { return true }
            return try file.segmentFooter() != nil
        } catch {
            throw SpoolError.disk("read", segment.path, error)
        }
    }

    private func markLoaded(
        _ segment: SpoolDirectory.Segment, _ key: Progress.Key
    ) throws -> SpoolDirectory.Segment {
        let loadedSegment = segment.isLoaded ? segment : try directory.moveToLoaded(segment.number)
        loaded.insert(segment.number, key)
        return loadedSegment
    }

    private func open(_ segment: SpoolDirectory.Segment) throws(SpoolError) -> any DiskFile {
        do {
            return try directory.openWherever(segment)
        } catch {
            throw .disk("open", segment.path, error)
        }
    }

    private func refreshProgress(_ segments: [SpoolDirectory.Segment]) throws(PostgresError) {
        guard ContinuousClock.now - progressRead > Self.progressAge else { return }
        progressRead = .now
        live = nil
        if let mark = loaded.mark, mark.progress == (try context.progressTable.state(on: context.connection)) { return }
        progress = try context.progressTable.read(on: context.connection)
        progressFrom = 0
        loaded.refresh(segments, progress)
    }

    private func advance(_ segment: SpoolDirectory.Segment, _ progress: Progress) {
        guard isContiguous else { return }
        position = Position(segment: segment.number, bytes: progress.bytes, records: progress.records)
    }

    /// Writes the load mark, a hint for the receiver's statistics. A failure is therefore only logged.
    private func writeMark() {
        guard let position, position != markedPosition else { return }
        do {
            try directory.write(LoadMark(segment: position.segment, bytes: position.bytes, records: position.records))
            markedPosition = position
        } catch {
            context.logger.warning("\(error)")
        }
    }

    /// Like `writeMark`, but also if there was nothing to load.
    private func writeDrainMark() {
        if let drainMarked, ContinuousClock.now - drainMarked < Self.drainMarkAge { return }
        do {
            try directory.write(DrainMark(settled: loaded.mark))
            drainMarked = .now
        } catch {
            context.logger.warning("\(error)")
        }
    }

    private func writeDatabaseMark() {
        do {
            try directory.write(DatabaseMark(segment: live?.segment, bytes: live?.bytes))
        } catch {
            context.logger.warning("\(error)")
        }
    }

    /// Takes the lease and, in the same transaction, checks the table and reads the progress' state. flock(2) does not
    /// cover a copy of the spool or another machine.
    private static func begin(
        _ context: SegmentDrain.Context, timeout: Duration
    ) throws -> String {
        let deadline = ContinuousClock.now + timeout
        var isFirst = true
        while true {
            let state = try context.connection.retryingTransaction(SegmentDrain.attempts) {
                () throws -> String? in
                guard try context.lease.acquire(on: context.connection) else { return nil }
                try context.table.check(on: context.connection)
                return try context.progressTable.state(on: context.connection)
            }
            if let state { return state }
            guard ContinuousClock.now < deadline, !context.shutdown.isRequested else {
                throw LoaderError.spoolBusy(identity: context.lease.spool)
            }
            if isFirst {
                context.logger.info(
                    "another loader has the spool's lease; waiting for it",
                    metadata: ["seconds": "\(timeout / .seconds(1))"])
            }
            isFirst = false
            context.shutdown.pause(.milliseconds(200))
        }
    }

    /// Shows, while there is nothing to load, that this loader still runs.
    private func renewLease() throws {
        guard ContinuousClock.now - leaseRenewed > SpoolLease.renewal else { return }
        let isOurs = try context.connection.retryingTransaction(SegmentDrain.attempts) {
            try context.lease.acquire(on: context.connection)
        }
        guard isOurs else { throw LoaderError.spoolBusy(identity: context.lease.spool) }
        leaseRenewed = .now
    }
}
