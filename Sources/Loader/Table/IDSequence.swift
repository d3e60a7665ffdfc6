import Postgres

/// A sequence that numbers the table's rows. Names are quoted for SQL.
struct IDSequence {
    let name: String
    let table: TableName
    let column: String
    /// The column's type.
    let type: String
    let last: String
    /// The last number of the sequence or of the column's type. A descending sequence ends at its minimum.
    let end: String
    private let isAscending: Bool
    /// The fraction of its numbers that it has used.
    let used: Double

    /// Whether it has no further number.
    let isExhausted: Bool

    /// Statements that give it and its column more numbers.
    var enlargement: String {
        "ALTER SEQUENCE \(name) AS bigint "
            + (isAscending ? "MAXVALUE 9223372036854775807; " : "MINVALUE -9223372036854775808; ")
            + "ALTER TABLE \(table.quoted) ALTER COLUMN \(column) TYPE bigint, which rewrites the table"
    }

    /// A statement that moves it behind the numbers of the rows.
    var restart: String {
        "SELECT setval('\(name.replacing("'", with: "''"))', \(isAscending ? "max" : "min")(\(column))) FROM \(table.quoted)"
    }

    /// Those of the table that were used and that this role may see.
    static func all(of table: TableName, on connection: Connection) throws(PostgresError) -> [IDSequence] {
        let rows = try connection.execute(
            """
            SELECT s.oid::regclass, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                pg_sequence_last_value(s.oid), CASE WHEN q.seqincrement > 0
                    THEN least(q.seqmax, CASE a.atttypid
                        WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE q.seqmax END)
                    ELSE greatest(q.seqmin, CASE a.atttypid
                        WHEN 'int2'::regtype THEN -32768 WHEN 'int4'::regtype THEN -2147483648 ELSE q.seqmin END)
                END, q.seqstart, q.seqincrement, q.seqcycle
            FROM pg_attribute a JOIN pg_class s ON s.relkind = 'S' AND (
                EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid
                    AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i')
                OR EXISTS (SELECT FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass
                    AND d.objid = f.oid AND d.refobjid = s.oid WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum))
            JOIN pg_sequence q ON q.seqrelid = s.oid
            WHERE a.attrelid = to_regclass($1) AND NOT a.attisdropped
                AND CASE s.relkind WHEN 'S' THEN has_sequence_privilege(s.oid, 'USAGE, SELECT') ELSE false END ORDER BY 1
            """, [.text(table.quoted)])
        return (0..<rows.count).compactMap { row -> IDSequence? in
            guard let last = rows[row, 3], let end = rows[row, 4], let start = rows[row, 5].flatMap(Double.init),
                let step = rows.integer(row, 6), let lastNumber = Double(last), let endNumber = Double(end),
                start != endNumber
            else { return nil }
            let next = lastNumber + Double(step)
            let isBeyond = step > 0 ? next > endNumber : next < endNumber
            return IDSequence(
                name: rows[row, 0] ?? "", table: table, column: rows[row, 1] ?? "", type: rows[row, 2] ?? "",
                last: last, end: end, isAscending: step > 0, used: (lastNumber - start) / (endNumber - start),
                isExhausted: isBeyond && rows[row, 7] != "t")
        }
    }
}
