import Postgres

/// Triggers that may discard a row without an error: whose function has a RETURN of something else than NEW.
///
/// The function is read and not called. A row that is inserted and rolled back would prove little about other rows, and a
/// function may have effects that no rollback undoes. OLD is a row only if the trigger is for other statements as well.
struct DiscardingTriggers {
    let table: TableName

    /// Their names, quoted and separated by commas, of the table and its partitions; nil if there are none.
    func names(on connection: Connection) throws(PostgresError) -> String? {
        try connection.execute(
            """
            SELECT string_agg(DISTINCT quote_ident(tgname), ', ' ORDER BY quote_ident(tgname))
            FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
            CROSS JOIN regexp_replace(regexp_replace(p.prosrc, '/\\*.*?\\*/', ' ', 'g'), '--[^\\n]*', ' ', 'g') AS code
            WHERE tgrelid IN (SELECT to_regclass($1) UNION SELECT relid FROM pg_partition_tree(to_regclass($1)))
                AND NOT tgisinternal AND tgenabled IN ('O', 'A')
                AND tgtype & 7 = 7 AND CASE WHEN l.lanname <> 'plpgsql' THEN code ~* 'skip|return\\s+null'
                    WHEN tgtype & 24 = 0 THEN \(Self.returns(notOneOf: "new")) ELSE \(Self.returns(notOneOf: "new|old")) END
            """, [.text(table.quoted)])[0, 0]
    }

    /// Whether the code returns something else than these rows. `coalesce(NEW, OLD)` is NEW.
    private static func returns(notOneOf rows: String) -> String {
        let row = #"\(?\s*(\#(rows)|coalesce\s*\(\s*new\s*,.*\))\s*\)?"#
        return #"code ~* '\mreturn\M(?!\s*\#(row)\s*;)'"#
    }
}
