import Postgres

/// The readings' table as the database's catalog describes it, if it is partitioned.
///
/// A key fixes its minute, device and channel. So it fixes the partition of its rows, if each level of partitions is by
/// time, with whole minutes as bounds, or by device or channel. A unique index on each partition then keeps duplicates
/// out of the whole table. PostgreSQL allows none on the table itself, because the table is not
/// partitioned by the key.
struct PartitionedTable {
    let name: TableName

    /// The partitions directly below the table, or nil if it is not partitioned by time.
    func partitions(on connection: Connection) throws(PostgresError) -> PartitionList? {
        let rows = try connection.execute(
            """
            SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), bound = 'DEFAULT',
                \(Self.minute("ends[1]")), \(Self.minute("ends[2]")),
                to_jsonb(i) ->> 'inhdetachpending' IS NOT DISTINCT FROM 'true'
            FROM pg_partitioned_table p
            JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] AND a.attname = 'timestamp'
            LEFT JOIN pg_inherits i ON i.inhparent = p.partrelid
            LEFT JOIN pg_class c ON c.oid = i.inhrelid
            LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
            \(Self.bounds)
            WHERE p.partrelid = to_regclass($1) AND p.partstrat = 'r' AND p.partnatts = 1
            """, [.text(name.quoted)])
        guard rows.count > 0 else { return nil }
        return PartitionList(
            (0..<rows.count).compactMap { row in
                guard let name = rows[row, 0] else { return nil }
                let isStandard = rows[row, 1] == "t"
                let low = rows[row, 2].flatMap { Int64($0) } ?? .min
                let high = rows[row, 3].flatMap { Int64($0) } ?? .max
                return Partition(
                    name: name, minutes: isStandard ? nil : low..<max(low, high), isDetaching: rows[row, 4] == "t")
            })
    }

    /// Why duplicates could get into the table, and the remedy; nil if they cannot, or if the table is not partitioned.
    func incompatibility(on connection: Connection) throws(PostgresError) -> (reason: String, remedy: String)? {
        let keys = try connection.execute(
            """
            SELECT p.partrelid::regclass, pg_get_partkeydef(p.partrelid) FROM pg_partitioned_table p
            LEFT JOIN LATERAL (
                SELECT array_agg(a.attname::text) AS names FROM unnest(p.partattrs::int2[]) AS number
                LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = number
            ) AS key ON true
            WHERE p.partrelid IN (SELECT to_regclass($1) UNION SELECT relid FROM pg_partition_tree(to_regclass($1)))
                AND NOT (p.partstrat = 'r' AND names = ARRAY['timestamp']
                    OR p.partrelid <> to_regclass($1) AND coalesce(names <@ ARRAY['device_id', 'channel'], false))
            ORDER BY 1
            """, [.text(name.quoted)])
        if keys.count > 0 {
            return (
                "is partitioned by \(keys[0, 1] ?? "")"
                    + (keys.count > 1 || keys[0, 0] != nil ? " (\(keys[0, 0] ?? ""))" : "")
                    + ", so that duplicates could get into different partitions",
                "partition it by RANGE (\"timestamp\"), and its partitions by that, device_id or channel at most"
            )
        }
        let fractions = try connection.execute(
            """
            SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY 1)
            FROM pg_partition_tree(to_regclass($1)) t
            JOIN pg_partitioned_table p ON p.partrelid = t.parentrelid AND p.partstrat = 'r'
            JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] AND a.attname = 'timestamp'
            JOIN pg_class c ON c.oid = t.relid
            \(Self.bounds)
            WHERE \(Self.isFraction("ends[1]")) OR \(Self.isFraction("ends[2]"))
            """, [.text(name.quoted)])
        if let names = fractions[0, 0] {
            return (
                "has partitions that begin or end within a minute, so that duplicates could get into both: \(names)",
                "detach them, and attach them with bounds at whole minutes"
            )
        }
        return nil
    }

    /// A statement that locks the partition, so that nothing drops its indexes until the transaction ends.
    func lock(_ partition: Partition) -> String {
        "SELECT FROM \(name.quoted) AS t WHERE true\(partition.condition(on: "t.\"timestamp\"")) LIMIT 0"
    }

    /// The tables below the partition, or below all partitions, without a valid unique index on the key. They are quoted
    /// for SQL.
    func unindexed(_ partition: Partition? = nil, on connection: Connection) throws(PostgresError) -> [String] {
        try leaves(
            of: partition,
            where: """
                NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = t.relid AND a.attnum = i.indkey[0]
                    WHERE i.indrelid = t.relid AND a.attname = 'idempotency_key' AND i.indnkeyatts = 1
                        AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
                        AND coalesce(pg_get_expr(i.indpred, i.indrelid), \(Self.predicate)) = \(Self.predicate))
                """, on: connection)
    }

    /// The tables below the partition, or below all partitions, that a crash of the server would empty.
    func unlogged(_ partition: Partition? = nil, on connection: Connection) throws(PostgresError) -> [String] {
        try leaves(of: partition, where: "c.relpersistence = 'u'", on: connection)
    }

    func leaves(
        of partition: Partition?, where condition: String, on connection: Connection
    ) throws(PostgresError) -> [String] {
        let rows = try connection.execute(
            """
            SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
            FROM pg_partition_tree(to_regclass($1)) t JOIN pg_class c ON c.oid = t.relid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE t.isleaf AND \(condition) ORDER BY 1
            """, [.text(partition?.name ?? name.quoted)])
        return (0..<rows.count).compactMap { rows[$0, 0] }
    }

    private static let predicate = "'(idempotency_key IS NOT NULL)'"

    /// The ends of a partition's range as text, as its own session writes and reads them: `ends`.
    private static let bounds = #"""
        LEFT JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) AS b ON true
        LEFT JOIN LATERAL (SELECT regexp_match(bound, '^FOR VALUES FROM \((.*)\) TO \((.*)\)$') AS ends) AS e ON true
        """#

    /// The time of an end, or NULL for MINVALUE and MAXVALUE.
    private static func time(_ end: String) -> String {
        let text = "nullif(nullif(trim(BOTH '''' FROM \(end)), 'MINVALUE'), 'MAXVALUE')"
        return """
            CASE a.atttypid WHEN 'timestamp'::regtype THEN \(text)::timestamp AT TIME ZONE 'UTC'
                ELSE \(text)::timestamptz END
            """
    }

    private static func minute(_ end: String) -> String {
        "CASE WHEN isfinite(\(time(end))) THEN floor(extract(epoch FROM \(time(end))) / 60)::bigint END"
    }

    private static func isFraction(_ end: String) -> String {
        "CASE WHEN isfinite(\(time(end))) THEN extract(epoch FROM \(time(end)))::numeric % 60 <> 0 END"
    }
}
