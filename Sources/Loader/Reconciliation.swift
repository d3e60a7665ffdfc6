import FoundationEssentials
import Postgres
import Readings
import Spool

/// Looks for the readings of a spool in the database: what the progress there calls loaded must be in the table, or in
/// `rejected/` with its reason (invariants 2 and 8).
final class Reconciliation {
    private let connection: Connection
    private let table: TableName
    private let deadLetters: DeadLetters
    private let progress: [Progress.Key: Progress]
    private let decoder = BatchDecoder()
    private let rows = RowBuffer()
    private var segments: [SegmentStart] = []
    /// Everything before this byte of the present segment is loaded.
    private var loadedBytes = 0

    /// From which row on the rows belong to a segment.
    private struct SegmentStart {
        let row: Int
        let number: Int
    }

    /// Keys that are asked for with one statement.
    private static let statementKeys = 50_000

    init(_ database: Database, directory: SpoolDirectory) throws(PostgresError) {
        connection = try database.connect()
        table = database.table
        deadLetters = DeadLetters(directory: directory)
        progress = try ProgressTable(spool: directory.identity, beside: database.table).read(on: connection)
    }

    /// What is taken from now on belongs to this segment.
    func begin(_ segment: Int, created: String) {
        segments.append(SegmentStart(row: rows.count, number: segment))
        let known = progress[Progress.Key(segment: segment, created: created)]
        loadedBytes = known.map { $0.finished ? .max : $0.bytes } ?? 0
    }

    func take(_ record: SegmentReader.Record, _ report: VerificationReport) throws {
        guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { return }
        var counts = report.summary.database ?? VerificationReport.Database()
        defer { report.summary.database = counts }
        guard record.range.upperBound <= loadedBytes else {
            counts.notLoadedYet += batch.readings.count
            return
        }
        counts.readings += batch.readings.count
        for reading in batch.readings {
            rows.append(reading, of: batch.devices[reading.device], record: record.sequence)
        }
        guard rows.count >= Self.statementKeys else { return }
        report.summary.database = counts
        try compare(report)
        counts = report.summary.database ?? counts
    }

    func finish(_ report: VerificationReport) throws {
        if report.summary.database == nil { report.summary.database = VerificationReport.Database() }
        if !rows.isEmpty { try compare(report) }
    }

    private func compare(_ report: VerificationReport) throws {
        var keys = BinaryArray(.text)
        for row in rows.rows { rows.withKey(of: row) { keys.append(utf8: $0) } }
        let answer = try connection.execute(
            """
            SELECT k.number FROM unnest($1::text[]) WITH ORDINALITY AS k(key, number)
            WHERE NOT EXISTS (SELECT 1 FROM \(table.quoted) WHERE idempotency_key = k.key AND idempotency_key IS NOT NULL)
            ORDER BY k.number
            """, [.array(keys)])
        let absent = (0..<answer.count).compactMap { answer.integer($0, 0).map { $0 - 1 } }
        if !absent.isEmpty { try judge(absent, report) }
        rows.removeAll()
        segments = segments.suffix(1).map { SegmentStart(row: 0, number: $0.number) }
    }

    /// Tells rows that were rejected from rows that are missing.
    private func judge(_ absent: [Int], _ report: VerificationReport) throws {
        func key(_ index: Int) -> String { rows.withKey(of: rows.rows[index]) { String(decoding: $0, as: UTF8.self) } }
        let keys = Set(absent.map(key))
        var rejected: Set<String> = []
        try deadLetters.forEachLine { line in
            guard let letter = try? JSONDecoder().decode(RefusedReading.self, from: Data(line)),
                let device = try? DeviceID(letter.device)
            else { return }
            let key = IdempotencyKey.text(device: device, channel: letter.channel, minute: letter.timestamp / 60)
            if keys.contains(key) { rejected.insert(key) }
        }
        for index in absent {
            let key = key(index)
            if rejected.contains(key) {
                report.summary.database?.rejected += 1
            } else {
                let segment = segments.last { $0.row <= index }?.number ?? 0
                let position = SpoolPosition(segment: segment, sequence: Int(rows.rows[index].record))
                report.missing(position, key: key)
            }
        }
    }

    /// A line of `rejected/` that is about a reading which the database refused.
    private struct RefusedReading: Decodable {
        let device: String
        let channel: Int
        let timestamp: Int64

        private enum CodingKeys: String, CodingKey {
            case channel, timestamp
            case device = "device_id"
        }
    }
}
