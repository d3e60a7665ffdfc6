import Postgres

/// The state of the readings' table and its objects in the database, for `migrate` and `doctor`.
struct TableInspection {
    let connection: Connection
    let table: TableName

    /// An index of the table.
    struct Index {
        let name: String
        /// Its first column.
        let column: String
        let isUnique: Bool
        /// False after an interrupted concurrent build.
        let isValid: Bool
        /// The predicate of a partial index, `(idempotency_key IS NOT NULL)`.
        let predicate: String?
    }

    /// Whether an object of that name exists. The name is quoted for SQL.
    func exists(_ name: String) throws(PostgresError) -> Bool {
        try connection.execute("SELECT to_regclass($1)", [.text(name)])[0, 0] != nil
    }

    /// Why the existing table is unsuitable, or nil if it may be suitable. It must be a table, partitioned or not: other kinds
    /// cannot have a unique index.
    func incompatibility() throws(PostgresError) -> String? {
        let kind = try connection.execute(
            "SELECT relkind FROM pg_class WHERE oid = to_regclass($1)", [.text(table.quoted)])[0, 0]
        guard kind != "r", kind != "p" else { return nil }
        let name = ["v": "a view", "m": "a materialized view", "f": "a foreign table"]
        return "\(table.quoted) is \(kind.flatMap { name[$0] } ?? "no table"): readings need a table, which can have "
            + "a unique index on idempotency_key; name another one with DATABASE_TABLE"
    }

    var isPartitioned: Bool {
        get throws(PostgresError) {
            try connection.execute(
                "SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'p'", [.text(table.quoted)]
            ).affected > 0
        }
    }

    func has(column name: String, of table: String) throws(PostgresError) -> Bool {
        try connection.execute(
            "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped",
            [.text(table), .text(name)]
        ).count > 0
    }

    /// The table's columns with their SQL types.
    func columns() throws(PostgresError) -> [String: String] {
        let rows = try connection.execute(
            """
            SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
            """, [.text(table.quoted)])
        var columns: [String: String] = [:]
        for row in 0..<rows.count { columns[rows[row, 0] ?? ""] = rows[row, 1] }
        return columns
    }

    /// The table's indexes.
    func indexes() throws(PostgresError) -> [Index] {
        let rows = try connection.execute(
            """
            SELECT c.relname, coalesce(a.attname, 'an expression'), i.indisunique, i.indisvalid,
                pg_get_expr(i.indpred, i.indrelid)
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = to_regclass($1) ORDER BY 1
            """, [.text(table.quoted)])
        return (0..<rows.count).map { row in
            Index(
                name: rows[row, 0] ?? "", column: rows[row, 1] ?? "", isUnique: rows[row, 2] == "t",
                isValid: rows[row, 3] == "t", predicate: rows[row, 4])
        }
    }

    /// The index of that name, or nil if the table has none.
    func index(_ name: String) throws(PostgresError) -> Index? { try indexes().first { $0.name == name } }
}
