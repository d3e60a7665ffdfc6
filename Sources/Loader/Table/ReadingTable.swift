import Postgres

/// The readings' table: the statement that fills it, and the handling of refused rows.
struct ReadingTable {
    let name: TableName
    private let habit = Habit()

    init(name: TableName) { self.name = name }

    /// An adaptive hint from the last statement for the next one.
    private final class Habit {
        /// Whether nearly all rows were duplicates, as in a replay.
        var isToFindDuplicates = false
    }

    /// The result for the rows. Inserted rows, duplicates and refusals add up to their number.
    struct Outcome {
        var inserted = 0
        /// Rows whose key was in the table or earlier among the rows.
        var duplicates = 0
        /// Duplicates with other values than the first row with the same key.
        var conflicts = 0
        /// Rows that the table refuses because of their own values.
        var refusals: [Refusal] = []
    }

    /// A row that the database refused, with its error.
    struct Refusal {
        /// Index in the buffer.
        let row: Int32
        let error: PostgresError
    }

    /// Inserts the rows in one statement, within the caller's transaction. Of rows with the same key, the first is
    /// inserted.
    ///
    /// If the statement is refused because of a row, each half is tried in a savepoint of its own, down to single rows.
    ///
    /// - Parameter meanwhile: work that is done once while the server runs a statement, if there is one.
    func insert(
        _ rows: RowBuffer, on connection: Connection, meanwhile: @escaping () -> Void = {}
    ) throws -> Outcome {
        guard !rows.isEmpty else { return Outcome() }
        // With a constraint deferred to COMMIT, the whole transaction would fail there, and the refused row would be
        // unknown.
        _ = try connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        var insertion = Insertion(
            rows: rows, sorted: rows.sorted(), connection: connection, table: self, meanwhile: meanwhile)
        try insertion.run()
        return insertion.outcome
    }

    /// Runs the statement with no rows. It fails if the table, a column or the unique index is missing. It also fails
    /// if the table has further NOT NULL columns without a default, or requires voltage or current, because the table
    /// could then refuse readings.
    func check(on connection: Connection) throws(PostgresError) {
        let none = [.text, .int4, .float8, .float8, .float8, .timestamptz, .text].map {
            Parameter.array(BinaryArray($0))
        }
        _ = try connection.execute(statement, none)
        let wanting = try connection.execute(
            """
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
                AND attnotnull AND attname NOT IN ('device_id', 'channel', 'power', 'timestamp', 'idempotency_key')
                AND (NOT atthasdef AND attidentity = '' OR attname IN ('voltage', 'current'))
            """, [.text(name.quoted)])
        if let columns = wanting[0, 0] {
            throw .invalid(
                "table \(name.quoted) does not take every reading: \(columns) must not be null, and readings do not always "
                    + "have it; drop NOT NULL, or give your own column a default")
        }
    }

    // The conflict target repeats the partial index's predicate; without it, PostgreSQL does not find the index.
    // Columns of other types (real, numeric, timestamp without time zone) are filled by assignment casts.
    fileprivate var statement: String {
        """
        INSERT INTO \(name.quoted) (device_id, channel, power, voltage, "current", "timestamp", idempotency_key)
        SELECT * FROM unnest($1::text[], $2::int4[], $3::float8[], $4::float8[], $5::float8[], $6::timestamptz[], $7::text[])
        ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        """
    }

    /// One call of `insert`.
    private struct Insertion {
        let rows: RowBuffer
        let sorted: [Int32]
        let connection: Connection
        let table: ReadingTable
        var outcome = Outcome()
        /// The caller's work, run during the first long statement.
        private var meanwhile: (() -> Void)?

        init(
            rows: RowBuffer, sorted: [Int32], connection: Connection, table: ReadingTable,
            meanwhile: @escaping () -> Void
        ) {
            self.meanwhile = meanwhile
            self.rows = rows
            self.sorted = sorted
            self.connection = connection
            self.table = table
        }

        mutating func run() throws {
            let firsts = sorted.indices.filter { $0 == 0 || !rows.haveSameKey(sorted[$0 - 1], sorted[$0]) }
            if table.habit.isToFindDuplicates {
                // A lookup is cheaper than an attempted insert.
                let found = try compare()
                if found.absent == 0 {
                    (outcome.duplicates, outcome.conflicts) = (sorted.count, found.conflicts)
                    return
                }
            }
            outcome.duplicates = sorted.count - firsts.count
            try insert(firsts[...])
            table.habit.isToFindDuplicates = outcome.inserted < sorted.count / 10
            // The table now has a row for each key that it accepts.
            if outcome.duplicates > 0 { outcome.conflicts = try compare().conflicts }
        }

        /// Counts the rows whose key is not in the table, and the rows whose key is there with other values.
        private mutating func compare() throws -> (absent: Int, conflicts: Int) {
            let types = try connection.execute(
                """
                SELECT format_type(atttypid, atttypmod) FROM pg_attribute, unnest($2::text[]) WITH ORDINALITY AS u(n, place)
                WHERE attrelid = to_regclass($1) AND attname = n ORDER BY place
                """, [.text(table.name.quoted), .array(Self.names(["power", "voltage", "current", "timestamp"]))])
            guard types.count == 4 else { return (sorted.count, 0) }
            func same(_ column: String, _ type: Int) -> String {
                // A column may be narrower than the sent type, so values are compared after a cast to the column's
                // type.
                "t.\"\(column)\" IS NOT DISTINCT FROM new.\(column)_\(types[type, 0].map { "::" + $0 } ?? "")"
            }
            var arrays = parameters(sorted.indices)
            arrays.removeSubrange(0..<2)
            // LIMIT forces one index lookup per row, in the index's own order.
            let counts = try execute(
                """
                SELECT count(*) FILTER (WHERE t.idempotency_key IS NULL),
                    count(*) FILTER (WHERE t.idempotency_key IS NOT NULL AND NOT (\(same("power", 0))
                        AND \(same("voltage", 1)) AND \(same("current", 2)) AND \(same("timestamp", 3))))
                FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::timestamptz[], $5::text[])
                    AS new(power_, voltage_, current_, timestamp_, key_)
                LEFT JOIN LATERAL (
                    SELECT idempotency_key, power, voltage, "current", "timestamp" FROM \(table.name.quoted)
                    WHERE idempotency_key = new.key_ AND idempotency_key IS NOT NULL LIMIT 1
                ) AS t ON true
                """, arrays)
            return (counts.integer(0, 0) ?? 0, counts.integer(0, 1) ?? 0)
        }

        /// Runs one of the long statements.
        private mutating func execute(_ sql: String, _ parameters: [Parameter]) throws(PostgresError) -> Rows {
            guard let work = meanwhile else { return try connection.execute(sql, parameters) }
            meanwhile = nil
            return try connection.execute(sql, parameters, meanwhile: work)
        }

        private static func names(_ names: [String]) -> BinaryArray {
            var array = BinaryArray(.text)
            for name in names { array.append(utf8: name.utf8) }
            return array
        }

        /// Inserts the rows at these positions of `sorted`.
        private mutating func insert(_ positions: ArraySlice<Int>) throws {
            _ = try connection.execute("SAVEPOINT statement")
            do {
                let inserted = try execute(table.statement, parameters(positions)).affected
                _ = try connection.execute("RELEASE SAVEPOINT statement")
                outcome.inserted += inserted
                outcome.duplicates += positions.count - inserted
            } catch let error where error.concernsRow {
                _ = try connection.execute("ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement")
                guard positions.count > 1 else { return try refuse(positions[positions.startIndex], error) }
                let middle = positions.startIndex + positions.count / 2
                try insert(positions[..<middle])
                try insert(positions[middle...])
            }
        }

        private mutating func refuse(_ position: Int, _ error: PostgresError) throws {
            outcome.refusals.append(Refusal(row: sorted[position], error: error))
            // The next row with this key is no longer a duplicate, as if it had come in a later statement.
            let next = position + 1
            guard next < sorted.count, rows.haveSameKey(sorted[position], sorted[next]) else { return }
            outcome.duplicates -= 1
            try insert([next])
        }

        private func parameters(_ positions: some Sequence<Int>) -> [Parameter] {
            var device = BinaryArray(.text)
            var channel = BinaryArray(.int4)
            var power = BinaryArray(.float8)
            var voltage = BinaryArray(.float8)
            var current = BinaryArray(.float8)
            var timestamp = BinaryArray(.timestamptz)
            var key = BinaryArray(.text)
            for position in positions {
                let row = rows.rows[Int(sorted[position])]
                rows.withDevice(of: row) { device.append(utf8: $0) }
                channel.append(Int32(row.channel))
                power.append(row.power)
                if let value = row.voltage { voltage.append(value) } else { voltage.appendNull() }
                if let value = row.current { current.append(value) } else { current.appendNull() }
                timestamp.append(unixSeconds: row.timestamp)
                rows.withKey(of: row) { key.append(utf8: $0) }
            }
            return [device, channel, power, voltage, current, timestamp, key].map { .array($0) }
        }
    }
}

extension PostgresError {
    /// Whether the error concerns one row's values, so that other rows may succeed: data exceptions, violated
    /// constraints, a view's check option, a program's limits (an index entry too large), a trigger's own exception.
    fileprivate var concernsRow: Bool {
        guard let state = sqlState else { return false }
        return ["22", "23", "44", "54", "P0"].contains(String(state.prefix(2)))
    }
}
