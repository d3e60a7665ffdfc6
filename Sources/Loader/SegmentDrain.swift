import Logging
import Postgres
import Readings
import Spool
import SystemPackage

/// Loads one segment from where its progress stands: records into rows, rows into transactions.
struct SegmentDrain {
    /// What all segments of a session share.
    struct Context {
        let connection: Connection
        let table: ReadingTable
        let progressTable: ProgressTable
        let deadLetters: DeadLetters
        let statementRows: Int
        let report: DrainReport
        let logger: Logger
        let interruption: Interruption
        let rows = RowBuffer()
        let decoder = BatchDecoder()
    }

    enum End {
        /// All there will ever be is loaded.
        case finished
        /// All that is there is loaded; more may come.
        case live
        /// The run is to end; what was not committed is left for the next one.
        case interrupted
    }

    /// Dead letters are committed at the latest when there are so many bytes of them.
    private static let lettersBytes = 4 << 20
    /// A transaction that lost against another is run again so often.
    private static let attempts = 5

    private let context: Context
    private let segment: SpoolDirectory.Segment
    private let key: Progress.Key
    private let file: any DiskFile
    /// Where the segment will stand after the next commit.
    private var next: Progress
    private var letters: [UInt8] = []
    private var invalidMessages = 0
    private let onCommit: (Progress) -> Void

    /// What is committed.
    private(set) var progress: Progress
    /// The segment's length when it was read.
    private(set) var end = 0

    init(
        _ segment: SpoolDirectory.Segment, _ file: any DiskFile, key: Progress.Key, from progress: Progress,
        in context: Context, onCommit: @escaping (Progress) -> Void
    ) {
        self.segment = segment
        self.file = file
        self.key = key
        self.progress = progress
        self.context = context
        self.onCommit = onCommit
        next = progress
    }

    /// Loads what is there.
    ///
    /// - Parameter isLeft: whether nobody can write to the segment any more, footer or not.
    mutating func run(isLeft: Bool) throws -> End {
        context.rows.removeAll()
        let reader = try SegmentReader(file, path: segment.path, from: progress.bytes)
        end = reader.end
        if end < progress.bytes {
            // A power cut can take away a tail that was read before it was durable; it was never acknowledged, and
            // nobody writes there again (invariant 4).
            context.logger.warning(
                "\(segment.path) has \(end) bytes, but \(progress.bytes) were loaded from it; was it cut?")
        }
        var isSealed = false
        while let event = try reader.next() {
            if context.interruption.isRequested { return .interrupted }
            switch event {
            case .header: next.bytes = reader.offset
            case .record(let record): try take(record)
            case .damage(let damage):
                context.report.damage(damage.sentence(segment.path))
                next.bytes = damage.range.upperBound
            case .footer:
                isSealed = true
                next.bytes = reader.offset
            case .tornTail(let range):
                guard isLeft else { break }
                context.logger.info(
                    "\(segment.path) ends with \(range.count) bytes of an interrupted write, which was never acknowledged"
                )
                next.bytes = range.upperBound
            }
            if context.rows.count >= context.statementRows || letters.count >= Self.lettersBytes { try commit() }
        }
        next.finished = isSealed || isLeft
        if next != progress { try commit() }
        return next.finished ? .finished : .live
    }

    private mutating func take(_ record: SegmentReader.Record) throws {
        next.records += 1
        next.bytes = record.range.upperBound
        let batch: Batch
        do throws(Problem) {
            batch = try context.decoder.decode(record.body, receivedAt: record.receivedAt)
        } catch {
            return rejectMessage(
                DeadLetter(reason: error.message, record: position(record.sequence), body: Array(record.body)))
        }
        context.rows.note(record: record.sequence, at: record.range.lowerBound)
        for reading in batch.readings {
            context.rows.append(reading, of: batch.devices[reading.device], record: record.sequence)
        }
        next.readings += batch.readings.count + batch.faults.count
        for fault in batch.faults {
            next.rejected += 1
            DeadLetter(
                reason: fault.reason, record: position(record.sequence), message: fault.message,
                device: batch.devices[fault.device].utf8, channel: fault.channel, timestamp: fault.timestamp,
                content: context.decoder.text(ofMessage: fault.message)
            ).appendLine(to: &letters)
        }
        for invalid in batch.invalid {
            rejectMessage(
                DeadLetter(
                    reason: invalid.reason, record: position(record.sequence), message: invalid.index,
                    content: context.decoder.text(ofMessage: invalid.index)))
        }
    }

    /// A message's readings are not known, so it does not count among them.
    private mutating func rejectMessage(_ letter: DeadLetter) {
        invalidMessages += 1
        letter.appendLine(to: &letters)
    }

    /// Rows, dead letters and progress together; the progress counts when all of it is durable (invariants 6 and 8).
    private mutating func commit() throws {
        let begin = ContinuousClock.now
        next = try context.connection.retryingTransaction(Self.attempts) { try write() }
        context.logger.debug(
            "committed",
            metadata: [
                "segment": "\(SpoolPosition.digits(segment.number))", "bytes": "\(next.bytes)",
                "inserted": "\(next.inserted - progress.inserted)",
                "duplicates": "\(next.duplicates - progress.duplicates)",
                "rejected": "\(next.rejected - progress.rejected)",
                "seconds": "\((ContinuousClock.now - begin) / .seconds(1))",
            ])
        context.report.advanced(progress, to: next, invalidMessages: invalidMessages)
        invalidMessages = 0
        progress = next
        context.rows.removeAll()
        letters.removeAll(keepingCapacity: letters.capacity <= 2 * Self.lettersBytes)
        onCommit(progress)
    }

    private func write() throws -> Progress {
        var reached = next
        var letters = letters
        let outcome = try context.table.insert(context.rows, on: context.connection)
        reached.inserted += outcome.inserted
        reached.duplicates += outcome.duplicates
        reached.conflicts += outcome.conflicts
        reached.rejected += outcome.refusals.count
        if !outcome.refusals.isEmpty { try append(outcome.refusals, to: &letters) }
        try context.deadLetters.append(letters)
        try context.progressTable.write(reached, of: key, on: context.connection)
        return reached
    }

    /// The letters of rows that the database refused. Rows do not keep their message, so their records are read again.
    private func append(_ refusals: [ReadingTable.Refusal], to letters: inout [UInt8]) throws {
        let rows = context.rows.rows
        let ordered = refusals.sorted {
            let (a, b) = (rows[Int($0.row)], rows[Int($1.row)])
            return (a.record, a.message, a.channel) < (b.record, b.message, b.channel)
        }
        var decoded: UInt32?
        for refusal in ordered {
            let row = rows[Int(refusal.row)]
            if decoded != row.record { try decode(record: Int(row.record)) }
            decoded = row.record
            DeadLetter(
                reason: refusal.error.description, sqlState: refusal.error.sqlState, record: position(Int(row.record)),
                message: Int(row.message), device: context.rows.withDevice(of: row) { Array($0) },
                channel: Int(row.channel), timestamp: row.timestamp,
                values: DeadLetter.Values(power: row.power, voltage: row.voltage, current: row.current),
                content: context.decoder.text(ofMessage: Int(row.message))
            ).appendLine(to: &letters)
        }
    }

    /// Has the decoder hold a record of the rows.
    private func decode(record: Int) throws {
        guard let offset = context.rows.offset(ofRecord: record) else { return }
        let reader = try SegmentReader(file, path: segment.path, from: offset)
        guard case .record(let found)? = try reader.next() else { return }
        _ = try context.decoder.decode(found.body, receivedAt: found.receivedAt)
    }

    private func position(_ sequence: Int) -> SpoolPosition {
        SpoolPosition(segment: segment.number, sequence: sequence)
    }
}
