import Logging
import Postgres
import Readings
import Spool
import SystemPackage

/// Loads one segment from its committed progress on: it decodes records into rows and commits rows in transactions.
struct SegmentDrain {
    /// The objects that all segments of a session share.
    struct Context {
        let directory: SpoolDirectory
        let connection: Connection
        let table: ReadingTable
        let partitions: PartitionUpkeep
        let progressTable: ProgressTable
        let lease: SpoolLease
        let deadLetters: DeadLetters
        let statementRows: Int
        let report: DrainReport
        let logger: Logger
        let shutdown: ShutdownSignal
        /// One buffer is inserted while the other is filled.
        let buffers = [RowBuffer(), RowBuffer()]
        let decoder = BatchDecoder()
    }

    /// The content of one transaction. The counts are added to the progress so far.
    private struct Load {
        let rows: RowBuffer
        /// All bytes before this offset are in this load or in an earlier one.
        var bytes: Int
        var records = 0
        var readings = 0
        var rejected = 0
        var invalidMessages = 0
        var deadLetters: [UInt8] = []
        /// Whether the segment has no more data after this load. `isFinal` is true if it never will have any.
        var isLast = false
        var isFinal = false
        var isInterrupted = false
        /// Whether the segment's footer has been read.
        var isSealed = false

        init(into rows: RowBuffer, behind bytes: Int) {
            rows.removeAll()
            self.rows = rows
            self.bytes = bytes
        }

        /// Progress after the commit, without the counts of inserted, duplicate and refused rows.
        func added(to progress: Progress) -> Progress {
            var progress = progress
            progress.bytes = bytes
            progress.records += records
            progress.readings += readings
            progress.rejected += rejected
            progress.finished = isFinal
            return progress
        }
    }

    enum End {
        /// The segment is fully loaded and will not grow.
        case finished
        /// All present records are loaded; more may come.
        case live
        /// The run was interrupted. The next run loads the records that were not committed.
        case interrupted
    }

    /// A load ends when its dead letters reach this number of bytes.
    private static let deadLetterBytes = 4 << 20
    /// Maximum number of attempts for a transaction that fails with a serialization failure or a deadlock.
    static let attempts = 5

    private let context: Context
    private let segment: SpoolDirectory.Segment
    private let key: Progress.Key
    private let file: any DiskFile
    private let onCommit: (Progress) -> Void

    /// The committed progress, and whether the database has a row of it.
    private(set) var progress: Progress
    private var hasProgress: Bool
    /// The segment's length when it was read.
    private(set) var end = 0

    init(
        _ segment: SpoolDirectory.Segment, _ file: any DiskFile, key: Progress.Key, from progress: Progress?,
        in context: Context, onCommit: @escaping (Progress) -> Void
    ) {
        self.segment = segment
        self.file = file
        self.key = key
        self.progress = progress ?? Progress()
        hasProgress = progress != nil
        self.context = context
        self.onCommit = onCommit
    }

    /// Loads the records that the segment has now.
    ///
    /// - Parameter isClosed: whether the segment is closed, with or without a footer.
    mutating func run(isClosed: Bool) throws -> End {
        let reader = try SegmentReader(file, path: segment.path, from: progress.bytes)
        end = reader.end
        if end < progress.bytes {
            // A power failure can remove a tail that was read before it was durable. It was never acknowledged, and no
            // writer continues there (invariant 4).
            context.logger.warning(
                "\(segment.path) has \(end) bytes, but \(progress.bytes) were loaded from it; was it cut?")
        }
        var load = Load(into: context.buffers[0], behind: progress.bytes)
        while try read(from: reader, into: &load, isClosed: isClosed) {}
        var turn = 0
        while !load.isInterrupted {
            // The next load is decoded while the server works on this one.
            turn += 1
            var next = Load(into: context.buffers[turn % 2], behind: load.bytes)
            var failure: (any Error)?
            var hasMore = !load.isLast
            let drain = self
            let prepareNext = {
                guard hasMore else { return false }
                do {
                    hasMore = try drain.read(from: reader, into: &next, isClosed: isClosed)
                    // Now, so that the server does not wait for it afterwards.
                    if !hasMore { _ = next.rows.sorted() }
                } catch {
                    (hasMore, failure) = (false, error)
                }
                return hasMore
            }
            if load.added(to: progress) != progress { try commit(load, meanwhile: prepareNext) }
            if load.isLast { return load.isFinal ? .finished : .live }
            while prepareNext() {}
            if let failure { throw failure }
            load = next
        }
        return .interrupted
    }

    /// Reads a record. Returns false when there is enough for a transaction, or at the end.
    private func read(from reader: SegmentReader, into load: inout Load, isClosed: Bool) throws -> Bool {
        guard let event = try reader.next() else {
            load.isLast = true
            load.isFinal = load.isSealed || isClosed
            return false
        }
        if context.shutdown.isRequested {
            load.isInterrupted = true
            return false
        }
        switch event {
        case .header: load.bytes = reader.offset
        case .record(let record): append(record, to: &load)
        case .damage(let damage):
            context.report.damage(damage.sentence(segment.path))
            load.bytes = damage.range.upperBound
        case .footer:
            load.isSealed = true
            load.bytes = reader.offset
        case .tornTail(let range):
            guard isClosed else { break }
            context.logger.info(
                "\(segment.path) ends with \(range.count) bytes of an interrupted write, which was never acknowledged")
            load.bytes = range.upperBound
        }
        return load.rows.count < context.statementRows && load.deadLetters.count < Self.deadLetterBytes
    }

    private func append(_ record: SegmentReader.Record, to load: inout Load) {
        load.records += 1
        load.bytes = record.range.upperBound
        let batch: Batch
        do throws(InvalidInput) {
            batch = try context.decoder.decode(record.body, receivedAt: record.receivedAt)
        } catch {
            // The record's readings are unknown, so they are not counted.
            load.invalidMessages += 1
            return DeadLetter(
                reason: error.message, record: position(record.sequence), rules: rules, body: Array(record.body)
            ).appendLine(to: &load.deadLetters)
        }
        load.rows.beginRecord(record.sequence, at: record.range.lowerBound)
        for reading in batch.readings {
            load.rows.append(reading, of: batch.devices[reading.device], record: record.sequence)
        }
        load.readings += batch.readings.count + batch.faults.count
        load.rejected += batch.faults.count
        for fault in batch.faults {
            DeadLetter(
                reason: fault.reason, record: position(record.sequence), rules: rules, message: fault.message,
                device: batch.devices[fault.device].utf8, channel: fault.channel, timestamp: fault.timestamp,
                content: context.decoder.text(ofMessage: fault.message, in: record.body)
            ).appendLine(to: &load.deadLetters)
        }
        load.invalidMessages += batch.invalid.count
        for invalid in batch.invalid {
            DeadLetter(
                reason: invalid.reason, record: position(record.sequence), rules: rules, message: invalid.index,
                content: context.decoder.text(ofMessage: invalid.index, in: record.body)
            ).appendLine(to: &load.deadLetters)
        }
    }

    /// Commits rows, dead letters and progress together. The progress is valid when all of them are durable
    /// (invariants 6 and 8).
    private mutating func commit(_ load: Load, meanwhile: @escaping () -> Bool) throws {
        let begin = ContinuousClock.now
        let reached = try context.partitions.transaction(Self.attempts) {
            try write(load, meanwhile: meanwhile)
        }
        context.logger.debug(
            "committed",
            metadata: [
                "segment": "\(SpoolPosition.digits(segment.number))", "bytes": "\(reached.bytes)",
                "inserted": "\(reached.inserted - progress.inserted)",
                "duplicates": "\(reached.duplicates - progress.duplicates)",
                "rejected": "\(reached.rejected - progress.rejected)",
                "seconds": "\((ContinuousClock.now - begin) / .seconds(1))",
            ])
        context.report.advanced(progress, to: reached, invalidMessages: load.invalidMessages)
        progress = reached
        hasProgress = true
        onCommit(progress)
    }

    private func write(_ load: Load, meanwhile: @escaping () -> Bool) throws -> Progress {
        guard try context.lease.acquire(on: context.connection) else {
            throw LoaderError.spoolBusy(identity: context.lease.spool)
        }
        var reached = load.added(to: progress)
        var deadLetters = load.deadLetters
        let later = LaterReadings(directory: context.directory, segment: segment.number, bytes: load.bytes)
        let outcome = try context.table.insert(
            load.rows, on: context.connection, laterReadings: later.lastOfEachDevice, meanwhile: meanwhile)
        reached.inserted += outcome.inserted
        reached.duplicates += outcome.duplicates
        reached.conflicts += outcome.conflicts
        reached.rejected += outcome.refusedRows.count
        if !outcome.refusedRows.isEmpty { try append(outcome.refusedRows, of: load.rows, to: &deadLetters) }
        try context.deadLetters.append(deadLetters)
        let isWritten = try context.progressTable.write(
            reached, of: key, after: hasProgress ? progress : nil, on: context.connection)
        guard isWritten else { throw LoaderError.progressMoved(segment: SpoolPosition.digits(segment.number)) }
        try context.lease.renew(on: context.connection)
        return reached
    }

    /// Appends the dead letters of rows that the database refused. Rows do not keep their message, so their records are
    /// read again.
    private func append(
        _ refusedRows: [ReadingTable.RefusedRow], of buffer: RowBuffer, to deadLetters: inout [UInt8]
    ) throws {
        let rows = buffer.rows
        let ordered = refusedRows.sorted {
            let (a, b) = (rows[Int($0.row)], rows[Int($1.row)])
            return (a.record, a.message, a.channel) < (b.record, b.message, b.channel)
        }
        var decoded: (record: UInt32, body: [UInt8]?)?
        for refusal in ordered {
            let row = rows[Int(refusal.row)]
            if decoded?.record != row.record { decoded = (row.record, try decode(record: Int(row.record), of: buffer)) }
            DeadLetter(
                reason: refusal.reason, sqlState: refusal.error?.sqlState, record: position(Int(row.record)),
                rules: rules, message: Int(row.message), device: buffer.withDevice(of: row) { Array($0) },
                channel: Int(row.channel), timestamp: row.timestamp,
                values: DeadLetter.Values(power: row.power, voltage: row.voltage, current: row.current),
                content: decoded?.body.flatMap { context.decoder.text(ofMessage: Int(row.message), in: $0) }
            ).appendLine(to: &deadLetters)
        }
    }

    /// Decodes a record again and returns its body.
    private func decode(record: Int, of buffer: RowBuffer) throws -> [UInt8]? {
        guard let offset = buffer.offset(ofRecord: record) else { return nil }
        let reader = try SegmentReader(file, path: segment.path, from: offset)
        guard case .record(let found)? = try reader.next() else { return nil }
        _ = try context.decoder.decode(found.body, receivedAt: found.receivedAt)
        return Array(found.body)
    }

    private var rules: String? { context.decoder.rules.text }

    private func position(_ sequence: Int) -> SpoolPosition {
        SpoolPosition(segment: segment.number, sequence: sequence)
    }
}
