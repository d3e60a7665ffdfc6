import Postgres

/// The steps for a partitioned table, whose indexes PostgreSQL does not build concurrently.
extension Migrator {
    func upkeep(_ connection: Connection) -> PartitionUpkeep {
        PartitionUpkeep(table: database.table, connection: connection, report: report)
    }

    private var partitioned: PartitionedTable { PartitionedTable(name: database.table) }

    /// A table that exists is converted by hand, because its rows have to stay readable and writable meanwhile.
    func requirePartitions(on connection: Connection) throws {
        guard try partitioned.partitions(on: connection) == nil else { return }
        throw LoaderError.argument(
            "table \(database.table.quoted) exists and is not partitioned by RANGE (\"timestamp\"); docs/MOVING_IN.md has the "
                + "steps to convert it, or name another table with DATABASE_TABLE")
    }

    /// Builds the unique index of each partition that has none.
    func buildPartitionIndexes(on connection: Connection) throws {
        // Building an index can take hours, so other faults are reported before.
        try ReadingTable(name: database.table).checkColumns(on: connection)
        let tables = try partitioned.unindexed(on: connection)
        if tables.isEmpty { report("unique indexes of the partitions of \(database.table.quoted): already exist") }
        for table in tables {
            try dropInvalidIndexes(of: table, on: connection)
            report("building the unique index of partition \(table); other writers are not blocked")
            do throws(PostgresError) {
                _ = try connection.execute(
                    "CREATE UNIQUE INDEX CONCURRENTLY ON \(table) (idempotency_key) WHERE idempotency_key IS NOT NULL",
                    timeout: Self.indexTimeout)
            } catch {
                if connection.isUsable { try? dropInvalidIndexes(of: table, on: connection) }
                throw error.sqlState == "23505" ? doubledKeys(error) : error
            }
            report("created the unique index of partition \(table)")
        }
    }

    /// Builds an index of the partitioned table: concurrently on each partition, and then on the table, which takes them
    /// over under a short lock.
    func buildPartitionedIndex(_ name: String, _ migration: Migration, on connection: Connection) throws {
        let found = try inspection(connection).indexes().first { $0.column == "timestamp" && $0.predicate == nil }
        if found?.isValid == true { return report("\(migration.subject): already exists") }
        let tables = try partitioned.leaves(
            of: nil,
            where: """
                NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = t.relid AND a.attnum = i.indkey[0]
                    WHERE i.indrelid = t.relid AND a.attname = 'timestamp' AND i.indnkeyatts = 1 AND i.indisvalid
                        AND i.indpred IS NULL AND i.indoption[0] = 3)
                """, on: connection)
        for table in tables {
            report("building the index on timestamp of partition \(table); other writers are not blocked")
            _ = try connection.execute(
                "CREATE INDEX CONCURRENTLY ON \(table) (\"timestamp\" DESC)", timeout: Self.indexTimeout)
        }
        // The name may belong to a partition that was the table before.
        let ownName = try inspection(connection).exists(database.table.quoted(name)) ? "" : TableName.quote(name)
        let table = database.table.quoted
        try withShortLock(
            migration.subject, ["CREATE INDEX \(ownName) ON \(table) (\"timestamp\" DESC)"], of: table, on: connection)
        report("created \(migration.subject)")
    }

    private func dropInvalidIndexes(of table: String, on connection: Connection) throws(PostgresError) {
        let rows = try connection.execute(
            """
            SELECT indexrelid::regclass FROM pg_index i JOIN pg_attribute a ON a.attrelid = indrelid AND a.attnum = indkey[0]
            WHERE indrelid = to_regclass($1) AND NOT indisvalid AND indisunique AND attname = 'idempotency_key'
            """, [.text(table)])
        for row in 0..<rows.count {
            _ = try connection.execute(
                "DROP INDEX CONCURRENTLY \(rows[row, 0] ?? "")", timeout: Self.indexTimeout)
        }
    }
}
