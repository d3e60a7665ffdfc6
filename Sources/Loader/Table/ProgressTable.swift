import Postgres

/// The table `spool_progress`, in the same schema as the readings. It is written in their transactions (invariant 6).
struct ProgressTable {
    static let name = "spool_progress"

    /// The spool's identity.
    let spool: String
    private let table: String

    init(spool: String, beside readings: TableName) {
        self.spool = spool
        table = readings.quoted(Self.name)
    }

    /// A digest of the progress of the spool's segments, for which no row is transferred.
    func state(on connection: Connection) throws(PostgresError) -> String {
        try connection.query(
            """
            SELECT encode(sha256(convert_to(coalesce(string_agg(
                concat_ws(' ', segment, created, bytes, records, readings, finished), ',' ORDER BY segment, created
            ), ''), 'UTF8')), 'hex') FROM \(table) WHERE spool = $1
            """, [.text(spool)])[0, 0] ?? ""
    }

    /// Reads the progress of the spool's segments from a number on.
    func read(from first: Int = 0, on connection: Connection) throws(PostgresError) -> [Progress.Key: Progress] {
        let rows = try connection.query(
            """
            SELECT segment, created, bytes, records, readings, inserted, duplicates, rejected, finished, conflicts
            FROM \(table) WHERE spool = $1 AND segment >= $2
            """, [.text(spool), .integer(Int64(first))])
        var progress: [Progress.Key: Progress] = [:]
        for row in 0..<rows.count {
            func number(_ column: Int) -> Int { rows.integer(row, column) ?? 0 }
            progress[Progress.Key(segment: number(0), created: rows[row, 1] ?? "")] = Progress(
                bytes: number(2), records: number(3), readings: number(4), inserted: number(5), duplicates: number(6),
                conflicts: number(9), rejected: number(7), finished: rows[row, 8] == "t")
        }
        return progress
    }

    /// Deletes the progress of finished segments that are no longer in the spool, so that the table does not grow
    /// without limit.
    ///
    /// - Parameters:
    ///   - oldest: the first segment that retention has not reached.
    ///   - kept: the segments before it that are still in the spool.
    func forget(
        before oldest: Int, except kept: some Sequence<Int>, on connection: Connection
    ) throws(PostgresError) {
        var numbers = BinaryArray(.int8)
        for number in kept { numbers.append(Int64(number)) }
        _ = try connection.query(
            "DELETE FROM \(table) WHERE spool = $1 AND segment < $2 AND finished AND segment <> ALL($3::int8[])",
            [.text(spool), .integer(Int64(oldest)), .array(numbers)])
    }

    /// Writes a segment's progress within the caller's transaction, in the place of the known progress. Returns false,
    /// and writes nothing, if the database has another one: then another loader has moved it, or the database was
    /// restored.
    ///
    /// - Parameter known: the progress that this loader has read or written, or nil if there was none.
    func write(
        _ progress: Progress, of key: Progress.Key, after known: Progress?, on connection: Connection
    ) throws(PostgresError) -> Bool {
        let numbers = [
            progress.bytes, progress.records, progress.readings, progress.inserted, progress.duplicates,
            progress.rejected, progress.conflicts,
        ]
        let values =
            [.text(spool), .integer(Int64(key.segment)), .text(key.created)]
            + numbers.map { Parameter.integer(Int64($0)) } + [.bool(progress.finished)]
        guard let known else {
            return try connection.execute(
                """
                INSERT INTO \(table) (spool, segment, created, bytes, records, readings, inserted, duplicates, rejected,
                    conflicts, finished, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now())
                ON CONFLICT (spool, segment, created) DO NOTHING
                """, values
            ).affected == 1
        }
        let before = [known.bytes, known.records, known.readings].map { Parameter.integer(Int64($0)) }
        return try connection.execute(
            """
            UPDATE \(table) SET bytes = $4, records = $5, readings = $6, inserted = $7, duplicates = $8, rejected = $9,
                conflicts = $10, finished = $11, updated_at = now()
            WHERE spool = $1 AND segment = $2 AND created = $3 AND bytes = $12 AND records = $13 AND readings = $14
            """, values + before
        ).affected == 1
    }
}
