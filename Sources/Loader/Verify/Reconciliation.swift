import Postgres
import Readings
import Spool
import Time

/// Compares the spool's readings with the database: each reading that the progress counts as loaded must be in the
/// table, or in `rejected/` with its reason (invariants 2 and 8).
final class Reconciliation {
    private let connection: Connection
    private let table: TableName
    private let rowRetention: RowRetention?
    private let deadLetters: DeadLetters
    private let progress: [Progress.Key: Progress]
    private let decoder = BatchDecoder()
    private let rows = RowBuffer()
    private var segments: [SegmentStart] = []
    /// Records, messages and readings that need a dead letter because they cannot be rows.
    private var expectedDeadLetters: Set<DeadLetter.Subject> = []
    private let deadLetter = JSONMembers()
    /// All bytes of the present segment before this offset are loaded.
    private var loadedBytes = 0

    /// The first row that belongs to a segment.
    private struct SegmentStart {
        let row: Int
        let number: Int
    }

    /// Number of keys per statement.
    private static let statementKeys = 100_000
    /// Rows of a longer time may be most of the table.
    private static let longestTime: Int64 = 86_400

    /// - Parameter rowRetention: how long rows of a partitioned table are kept, or nil if all are kept.
    init(
        _ database: Database, directory: SpoolDirectory, rowRetention: RowRetention? = nil
    ) throws(PostgresError) {
        self.rowRetention = rowRetention
        connection = try database.connect()
        table = database.table
        deadLetters = DeadLetters(directory: directory)
        progress = try ProgressTable(spool: directory.identity, beside: database.table).read(on: connection)
    }

    /// Starts a segment. The records that follow belong to it.
    func begin(_ segment: Int, created: String, rules: ReadingRules) {
        decoder.rules = rules
        segments.append(SegmentStart(row: rows.count, number: segment))
        let known = progress[Progress.Key(segment: segment, created: created)]
        loadedBytes = known.map { $0.finished ? .max : $0.bytes } ?? 0
    }

    /// Segments with progress in the database and a higher number than the spool's newest.
    func segments(beyond newest: Int) -> [Int] {
        Set(progress.keys.map(\.segment).filter { $0 > newest }).sorted()
    }

    /// Whether the present segment has fewer bytes than were loaded from it.
    func isShorterThanLoaded(_ bytes: Int) -> Bool { loadedBytes != .max && loadedBytes > bytes }

    func add(_ record: SegmentReader.Record, _ report: VerificationReport) throws {
        let position = SpoolPosition(segment: segments.last?.number ?? 0, sequence: record.sequence).description
        guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else {
            if record.range.upperBound <= loadedBytes {
                expectedDeadLetters.insert(DeadLetter.Subject(record: position))
            }
            return
        }
        var counts = report.summary.database ?? VerificationReport.DatabaseCounts()
        defer { report.summary.database = counts }
        guard record.range.upperBound <= loadedBytes else {
            counts.notLoadedYet += batch.readings.count + batch.faults.count
            return
        }
        counts.readings += batch.readings.count + batch.faults.count
        for fault in batch.faults {
            expectedDeadLetters.insert(
                DeadLetter.Subject(record: position, message: fault.message, channel: fault.channel))
        }
        for message in batch.invalid {
            expectedDeadLetters.insert(DeadLetter.Subject(record: position, message: message.index))
        }
        for reading in batch.readings {
            rows.append(reading, of: batch.devices[reading.device], record: record.sequence)
        }
        guard rows.count + expectedDeadLetters.count >= Self.statementKeys else { return }
        report.summary.database = counts
        try compare(report)
        counts = report.summary.database ?? counts
    }

    func finish(_ report: VerificationReport) throws {
        if report.summary.database == nil { report.summary.database = VerificationReport.DatabaseCounts() }
        if !rows.isEmpty || !expectedDeadLetters.isEmpty { try compare(report) }
    }

    private func compare(_ report: VerificationReport) throws {
        let all = (0..<Int32(rows.count)).map { $0 }
        let absent: [Int]
        let list = try PartitionedTable(name: table).partitions(on: connection)
        if let list {
            let withoutPartition = all.filter { !list.has(rows.rows[Int($0)].minute) }.map { Int($0) }
            let parts = ReadingTable.parts(of: rows, all, by: list).parts
            absent = try (parts.flatMap { try self.absent($0.sorted, in: $0.partition) } + withoutPartition).sorted()
        } else {
            absent = try self.absent(all, in: nil)
        }
        if !absent.isEmpty || !expectedDeadLetters.isEmpty { try classify(absent, list, report) }
        rows.removeAll()
        expectedDeadLetters = []
        segments = segments.suffix(1).map { SegmentStart(row: 0, number: $0.number) }
    }

    /// Those of the rows whose key is not in the table, or not in the partition, in ascending order.
    ///
    /// First among the table's rows of the same time: these are side by side, and one pass over them finds nearly all
    /// keys. The index has the keys of a minute as far apart as the devices' names. It finds the others.
    private func absent(_ indices: [Int32], in partition: Partition?) throws(PostgresError) -> [Int] {
        let column = "t.\"timestamp\""
        let condition = partition?.condition(on: column) ?? ""
        var absent = indices
        if let times = commonTimes(of: indices) {
            let (first, last) = (literal(times.lowerBound), literal(times.upperBound))
            absent = try select(absent, absentWhere: "\(condition) AND \(column) >= \(first) AND \(column) <= \(last)")
        }
        guard !absent.isEmpty else { return [] }
        let isAbsent = Set(absent)
        return try select(rows.sorted().filter(isAbsent.contains), absentWhere: condition).map { Int($0) }.sorted()
    }

    /// The time from the first to the last of the rows, Unix seconds, without some stragglers; nil if it is too long.
    private func commonTimes(of indices: [Int32]) -> ClosedRange<Int64>? {
        let all = rows.rows
        let times = indices.map { all[Int($0)].timestamp }.sorted()
        for stragglers in [0, times.count / 20] where 2 * stragglers < times.count {
            let (first, last) = (times[stragglers], times[times.count - 1 - stragglers])
            if last - first <= Self.longestTime { return first...last }
        }
        return nil
    }

    private func literal(_ seconds: Int64) -> String {
        "'\(Timestamp(unixSeconds: seconds).text(.seconds, separator: " "))+00'"
    }

    /// Those of the rows for whose key the table has no row that satisfies the condition. A key that the database's
    /// encoding cannot express is in no row.
    private func select(_ indices: [Int32], absentWhere condition: String) throws(PostgresError) -> [Int32] {
        do throws(PostgresError) {
            return try selectEncodable(indices, absentWhere: condition)
        } catch {
            guard error.isAboutValues else { throw error }
            guard indices.count > 1 else { return indices }
            let middle = indices.count / 2
            return try select(Array(indices[..<middle]), absentWhere: condition)
                + select(Array(indices[middle...]), absentWhere: condition)
        }
    }

    private func selectEncodable(_ indices: [Int32], absentWhere condition: String) throws(PostgresError) -> [Int32] {
        var keys = BinaryArray(.text)
        for index in indices { rows.withKey(of: rows.rows[Int(index)]) { keys.append(utf8: $0) } }
        let answer = try connection.query(
            """
            SELECT k.number FROM unnest($1::text[]) WITH ORDINALITY AS k(key, number)
            WHERE NOT EXISTS (SELECT 1 FROM \(table.quoted) AS t WHERE t.idempotency_key = k.key
                AND t.idempotency_key IS NOT NULL\(condition))
            """, [.array(keys)])
        return (0..<answer.count).compactMap { answer.integer($0, 0).map { indices[$0 - 1] } }
    }

    /// Distinguishes rejected rows from missing rows, and checks that the expected dead letters exist.
    ///
    /// - Parameter list: the partitions, or nil if the table has none.
    private func classify(_ absent: [Int], _ list: PartitionList?, _ report: VerificationReport) throws {
        func key(_ index: Int) -> String { rows.withKey(of: rows.rows[index]) { String(decoding: $0, as: UTF8.self) } }
        let keys = Set(absent.map(key))
        var rejected: Set<String> = []
        var missing = expectedDeadLetters
        try deadLetters.forEachLine { line in
            guard deadLetter.read(line), let record = deadLetter.string(of: "record") else { return }
            let channel = deadLetter.integer(of: "channel").map { Int($0) }
            missing.remove(
                DeadLetter.Subject(
                    record: String(decoding: record, as: UTF8.self),
                    message: deadLetter.integer(of: "message_index").map { Int($0) }, channel: channel))
            guard let channel, let time = deadLetter.integer(of: "timestamp"),
                let name = deadLetter.string(of: "device_id"),
                let device = try? DeviceID(String(decoding: name, as: UTF8.self))
            else { return }
            let key = IdempotencyKey.text(device: device, channel: channel, minute: time / 60)
            if keys.contains(key) { rejected.insert(key) }
        }
        let now = Timestamp.now.minute
        for index in absent {
            let key = key(index)
            if rejected.contains(key) {
                report.summary.database?.rejected += 1
            } else if let list, rowRetention?.hasDropped(rows.rows[index].minute, of: list, now: now) == true {
                report.summary.database?.expired += 1
            } else {
                let segment = segments.last { $0.row <= index }?.number ?? 0
                let position = SpoolPosition(segment: segment, sequence: Int(rows.rows[index].record))
                report.missing(position.description, "reading \(key) is neither in the table nor in rejected/")
            }
        }
        report.summary.database?.rejected += expectedDeadLetters.subtracting(missing).count { $0.channel != nil }
        for subject in missing.sorted(by: { ($0.record, $0.message ?? 0) < ($1.record, $1.message ?? 0) }) {
            let what = subject.message.map { "message \($0)" } ?? "the record, which is not a batch,"
            let which = subject.channel.map { ", channel \($0)," } ?? ""
            report.missing(subject.record, "\(what)\(which) cannot be loaded, and is not in rejected/")
        }
    }
}
