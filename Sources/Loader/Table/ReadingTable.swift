// Table: the rows: connection, buffer, insertion, progress.
// Begin here.
// Uses CommandLine, Partitions, Postgres, Readings, Settings, Spool, Time.

import Postgres

/// The readings' table: the statement that fills it, and the checks that it can be filled.
struct ReadingTable {
    let name: TableName
    let hint = InsertHint()
    /// The partition that statements are about; nil if the table is not partitioned.
    var partition: Partition?

    init(name: TableName) { self.name = name }

    /// Adaptive hints from the last statements for the next one.
    final class InsertHint {
        /// Whether nearly all rows were duplicates, as in a replay.
        var expectsDuplicates = false
        var copyRest = CopyRest()
        /// Whether the last `COPY` succeeded, so that the next keys are probably new as well.
        var hasCopied = false
        /// Whether the table is partitioned by time; nil if it is not known yet. If the table is replaced by one of the other
        /// kind, statements fail until the next session.
        var isPartitioned: Bool?
    }

    /// The result for the rows. Inserted rows, duplicates and refused rows add up to their number.
    struct Outcome {
        var inserted = 0
        /// Rows whose key was in the table or earlier among the rows.
        var duplicates = 0
        /// Duplicates with other values than the first row with the same key.
        var conflicts = 0
        /// Rows that the table refuses because of their own values.
        var refusedRows: [RefusedRow] = []

        static func += (sum: inout Outcome, part: Outcome) {
            sum.inserted += part.inserted
            sum.duplicates += part.duplicates
            sum.conflicts += part.conflicts
            sum.refusedRows += part.refusedRows
        }
    }

    /// A row that the table refuses.
    struct RefusedRow {
        /// Index in the buffer.
        let row: Int32
        /// The database's error, or nil if a trigger or a rule took the row away without one.
        let error: PostgresError?

        var reason: String { error?.description ?? "a trigger or a rule of the table takes the row away" }
    }

    /// Inserts the rows whose key is not there. They get an id and are cast to the columns' types only then: real, numeric
    /// and timestamp without time zone are filled by assignment casts.
    ///
    /// - Parameter isRace: whether another writer inserts the same keys at the same time. Without the conflict clause the
    ///   statement is faster, and then fails with 23505.
    func statement(isRace: Bool) -> String {
        // LIMIT forces an index lookup for each row.
        """
        INSERT INTO \(name.quoted) \(Self.columns)
        SELECT new.* FROM unnest($1::text[], $2::int4[], $3::float8[], $4::float8[], $5::float8[], $6::timestamptz[], $7::text[])
            AS new(device_, channel_, power_, voltage_, current_, timestamp_, key_)
        WHERE (SELECT true FROM \(name.quoted) AS present
            WHERE present.idempotency_key = new.key_ AND present.idempotency_key IS NOT NULL\(condition(on: "present"))
            LIMIT 1) IS NULL
        \(isRace ? conflictClause : "")
        """
    }

    /// Restricts a lookup to the partition.
    func condition(on alias: String) -> String { partition?.condition(on: "\(alias).\"timestamp\"") ?? "" }

    /// Inserts no row, and fails without the unique index. It locks the table or the partition, so that nothing drops the
    /// index until the transaction ends. That a partition has the index, `checkPartition` finds out.
    var indexCheck: String {
        partition.map(PartitionedTable(name: name).lock) ?? noRow + " " + conflictClause
    }

    /// Inserts no row, and fails without the table or a column.
    var noRow: String {
        """
        INSERT INTO \(name.quoted) \(Self.columns)
        SELECT ''::text, 0, 0::float8, 0::float8, 0::float8, now(), ''::text WHERE false
        """
    }

    static let columns = "(device_id, channel, power, voltage, \"current\", \"timestamp\", idempotency_key)"

    // The conflict target repeats the partial index's predicate; without it, PostgreSQL does not find the index. A
    // partitioned table cannot have that index itself, and with a target PostgreSQL looks for it there.
    private var conflictClause: String {
        partition == nil
            ? "ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING" : "ON CONFLICT DO NOTHING"
    }
}
