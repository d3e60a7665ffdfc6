import Postgres

extension ReadingTable {
    /// Runs the statement with no rows. It fails if the table, a column or the unique index is missing, and as
    /// `checkColumns` does. The partitions' indexes are checked when rows go there, unless `everywhere` is true.
    func check(on connection: Connection, everywhere: Bool = false) throws {
        try checkColumns(on: connection)
        hint.isPartitioned = try PartitionedTable(name: name).partitions(on: connection) != nil
        if hint.isPartitioned == false {
            _ = try connection.execute(indexCheck)
        } else if everywhere {
            try checkPartition(on: connection)
        }
    }

    /// Fails if the partition, or one of all partitions, cannot keep duplicates out, or if a crash of the server would
    /// empty it.
    func checkPartition(on connection: Connection) throws {
        let table = PartitionedTable(name: name)
        if let partition, partition.isDetaching {
            throw unfit(
                "has a partition that is being detached, \(partition.name), and readings for it",
                remedy: "ALTER TABLE \(name.quoted) DETACH PARTITION \(partition.name) FINALIZE")
        }
        let unindexed = try table.unindexed(partition, on: connection)
        guard unindexed.isEmpty else {
            throw unfit(
                "has no unique index on idempotency_key in the partition \(unindexed.joined(separator: ", "))",
                remedy: "run 'shelly-loader migrate'")
        }
        let unlogged = try table.unlogged(partition, on: connection)
        guard unlogged.isEmpty else {
            throw unfit(
                "has an UNLOGGED partition, \(unlogged.joined(separator: ", ")): a crash of the server empties it, though "
                    + "the progress says that its rows are loaded", remedy: "ALTER TABLE \(unlogged[0]) SET LOGGED")
        }
    }

    /// Makes all checks that do not need the unique index. It fails if a column's type cannot be filled, or holds no
    /// time of day, if the table has further NOT NULL columns without a default, or requires voltage or current,
    /// because the table could then refuse readings, if a crash of the server would empty the table, if
    /// duplicates could get into different partitions, and if a trigger or a rule may put rows
    /// into child tables.
    func checkColumns(on connection: Connection) throws {
        _ = try connection.execute(noRow)
        let faults = try connection.execute(
            """
            \(ColumnTypes.query)
            SELECT (SELECT string_agg(quote_ident(name), ', ' ORDER BY number) FROM column_types
                WHERE is_required AND name NOT IN ('device_id', 'channel', 'power', 'timestamp', 'idempotency_key')
                    AND (NOT has_default OR name IN ('voltage', 'current'))),
                (SELECT declared FROM column_types
                WHERE name = 'timestamp' AND type NOT IN ('timestamptz'::regtype, 'timestamp'::regtype)),
                relpersistence = 'u'
            FROM pg_class c WHERE c.oid = to_regclass($1)
            """, [.text(name.quoted)])
        guard faults.count == 1 else { return }
        if let columns = faults[0, 0] {
            throw unfit(
                "does not take every reading: \(columns) must not be null, and readings do not always have it",
                remedy: "drop NOT NULL, or give your own column a default")
        }
        if let type = faults[0, 1] {
            throw unfit(
                "has a column timestamp of the type \(type), in which statistics cannot find the last 24 hours",
                remedy: "ALTER TABLE \(name.quoted) ALTER COLUMN \"timestamp\" TYPE timestamptz "
                    + "USING \"timestamp\"::timestamptz")
        }
        if faults[0, 2] == "t" {
            throw unfit(
                "is UNLOGGED: a crash of the server empties it, though the progress says that its rows are loaded",
                remedy: "ALTER TABLE \(name.quoted) SET LOGGED")
        }
        if let (children, ways) = try childTables(on: connection) {
            throw unfit(
                "has child tables (INHERITS), \(children), and \(ways) may put rows there, where no index keeps duplicates out",
                remedy: "partition it by RANGE (\"timestamp\"), or drop the trigger or rule")
        }
        if let (reason, remedy) = try PartitionedTable(name: name).incompatibility(on: connection) {
            throw unfit(reason, remedy: remedy)
        }
    }

    /// The child tables of a table that is not partitioned, and its triggers and rules that may put rows there; nil if
    /// there are none of both.
    private func childTables(on connection: Connection) throws(PostgresError) -> (children: String, ways: String)? {
        let found = try connection.execute(
            """
            SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid),
                (SELECT string_agg(quote_ident(rulename), ', ' ORDER BY rulename) FROM pg_rewrite
                WHERE ev_class = c.oid AND ev_type = '3' AND is_instead AND ev_enabled IN ('O', 'A'))
            FROM pg_inherits JOIN pg_class c ON c.oid = inhparent
            WHERE c.oid = to_regclass($1) AND c.relkind <> 'p' GROUP BY c.oid
            """, [.text(name.quoted)])
        guard found.count > 0, let children = found[0, 0] else { return nil }
        let ways = [try DiscardingTriggers(table: name).names(on: connection), found[0, 1]].compactMap { $0 }
        return ways.isEmpty ? nil : (children, ways.joined(separator: ", "))
    }

    private func unfit(_ reason: String, remedy: String) -> LoaderError {
        .unfit(table: name.quoted, reason: reason, remedy: remedy)
    }
}
