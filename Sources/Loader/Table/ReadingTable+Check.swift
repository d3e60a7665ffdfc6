import Postgres

extension ReadingTable {
    /// Runs the statement with no rows. It fails if the table, a column or the unique index is missing, and as
    /// `checkColumns` does.
    func check(on connection: Connection) throws {
        try checkColumns(on: connection)
        _ = try connection.execute(indexCheck)
    }

    /// Checks what can be checked without the unique index. It fails if a column's type cannot be filled, or holds no
    /// time of day, if the table has further NOT NULL columns without a default, or requires voltage or current,
    /// because the table could then refuse readings, and if a crash of the server would empty the table.
    func checkColumns(on connection: Connection) throws {
        _ = try connection.execute(noRow)
        let faults = try connection.execute(
            """
            SELECT (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attnotnull
                    AND attname NOT IN ('device_id', 'channel', 'power', 'timestamp', 'idempotency_key')
                    AND (NOT atthasdef AND attidentity = '' OR attname IN ('voltage', 'current'))),
                (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = c.oid AND attname = 'timestamp' AND NOT attisdropped
                    AND atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype)),
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
    }

    private func unfit(_ reason: String, remedy: String) -> LoaderError {
        .unfit(table: name.quoted, reason: reason, remedy: remedy)
    }
}
