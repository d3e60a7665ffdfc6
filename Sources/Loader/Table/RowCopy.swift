import Postgres

/// The way of rows whose keys are probably not in the table: `COPY` straight into it, which is faster than the statement and
/// fails as a whole. The statement judges the rows that it refuses.
struct RowCopy {
    let rows: RowBuffer
    /// Indices of `rows` in the order of their keys, of which no two are the same.
    let sorted: [Int32]
    let table: ReadingTable

    /// Fewer rows are inserted by the statement, which takes fewer round trips.
    static let least = 1000
    /// Number of keys that are looked up before the first `COPY` of a session, and before further ones. A lookup of all keys
    /// takes a third of the time of the `COPY`.
    static let firstSample = 10_000
    static let furtherSample = 256

    /// The columns of `ReadingTable.columns` with the types whose binary format is that of `input`. The statement casts to
    /// others.
    private static let types = """
        (VALUES ('device_id', 'text'), ('channel', 'integer'), ('power', 'double precision'),
            ('voltage', 'double precision'), ('current', 'double precision'), ('timestamp', 'timestamp with time zone'),
            ('idempotency_key', 'text'))
        """

    /// Whether rows come into the table the same way as by the statement: its columns have exactly our types, and neither it
    /// nor the partition has rules, which `COPY` ignores, triggers, which may change keys, or policies, or is foreign.
    func isExact(on connection: Connection) throws(PostgresError) -> Bool {
        try connection.execute(
            """
            SELECT (SELECT count(*) FROM pg_attribute JOIN \(Self.types) AS own(name, type)
                    ON attname = name AND format_type(atttypid, atttypmod) = type
                WHERE attrelid = to_regclass($1)) = 7
                AND bool_and(relkind IN ('r', 'p') AND NOT relhasrules AND NOT relhastriggers AND NOT relrowsecurity)
            FROM pg_class
            WHERE oid IN (SELECT to_regclass($1) UNION SELECT relid FROM pg_partition_tree(to_regclass($2)))
            """, [.text(table.name.quoted), .text(table.partition?.name ?? table.name.quoted)])[0, 0] == "t"
    }

    /// Whether the table or the partition has one of so many of the keys, evenly distributed over all, the first and the last
    /// among them.
    func isSomeKeyPresent(of count: Int, on connection: Connection) throws(PostgresError) -> Bool {
        var keys = BinaryArray(.text)
        for number in 0..<min(count, sorted.count) {
            let place = count < sorted.count ? number * (sorted.count - 1) / (count - 1) : number
            rows.withKey(of: rows.rows[Int(sorted[place])]) { keys.append(utf8: $0) }
        }
        // LIMIT forces an index lookup for each key.
        return try connection.execute(
            """
            SELECT EXISTS (SELECT FROM unnest($1::text[]) AS new(key_) WHERE (SELECT true FROM \(table.name.quoted) AS present
                WHERE present.idempotency_key = new.key_ AND present.idempotency_key IS NOT NULL\(table.condition(on: "present"))
                LIMIT 1))
            """, [.array(keys)])[0, 0] == "t"
    }

    /// Copies the rows, and returns how many the table took.
    ///
    /// - Parameter meanwhile: see `Connection.copy`.
    func run(on connection: Connection, meanwhile: () -> Bool) throws(PostgresError) -> Int {
        try connection.copy(
            "COPY \(table.name.quoted) \(ReadingTable.columns) FROM STDIN (FORMAT binary)", input, meanwhile: meanwhile)
    }

    /// The rows in the binary format of `COPY`.
    private var input: [UInt8] {
        var input = BinaryRows(reserving: 150 * sorted.count)
        for index in sorted {
            let row = rows.rows[Int(index)]
            input.beginRow(columns: 7)
            rows.withDevice(of: row) { input.append(utf8: $0) }
            input.append(Int32(row.channel))
            input.append(row.power)
            input.append(row.voltage)
            input.append(row.current)
            input.append(unixSeconds: row.timestamp)
            rows.withKey(of: row) { input.append(utf8: $0) }
        }
        return input.finished()
    }
}
