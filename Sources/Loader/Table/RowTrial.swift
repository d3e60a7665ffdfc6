import Postgres

/// A statement in which the server inserts rows one after another, and keeps those that are not refused. So a table that
/// refuses many rows costs no round trip for each.
struct RowTrial {
    /// A row that was refused: its place among the rows, from 0, and the error. Its origin has no routine.
    struct FailedRow {
        let place: Int
        let error: PostgresError
    }

    private(set) var inserted = 0
    private(set) var failedRows: [FailedRow] = []

    /// The name under which the transaction, and no session, has the result.
    private static let result = "shelly.refused"

    /// Runs the statement. Fails as `Connection.execute` does; without PL/pgSQL the error is 42704 or 42501.
    ///
    /// - Parameter endsWithFirst: whether the first inserted row is the last to be tried.
    init(
        _ rows: [RowBuffer.Row], of buffer: RowBuffer, into table: ReadingTable, on connection: Connection,
        endsWithFirst: Bool = false
    ) throws(PostgresError) {
        _ = try connection.execute(Self.statement(rows, of: buffer, into: table, endsWithFirst))
        let found = try connection.execute(
            """
            SELECT r ->> 0, r ->> 1, r ->> 2, r ->> 3, r ->> 4, r ->> 5, r ->> 6, r ->> 7,
                r ->> 8
            FROM json_array_elements(current_setting('\(Self.result)')::json) WITH ORDINALITY AS e(r, number) ORDER BY number
            """)
        for row in 0..<found.count {
            // The first element is the number of inserted rows.
            guard row > 0 else {
                inserted = found.integer(row, 0) ?? 0
                continue
            }
            var origin = PostgresError.Origin()
            origin.constraint = found[row, 4]
            origin.table = found[row, 5]
            origin.column = found[row, 6]
            origin.isInFunction = found[row, 7] == "true"
            origin.isRaised = found[row, 8] == "true"
            let error = PostgresError.refused(
                sqlState: found[row, 1] ?? "", message: found[row, 2] ?? "", detail: found[row, 3], origin: origin)
            failedRows.append(FailedRow(place: (found.integer(row, 0) ?? 1) - 1, error: error))
        }
    }

    private static func statement(
        _ rows: [RowBuffer.Row], of buffer: RowBuffer, into table: ReadingTable, _ endsWithFirst: Bool
    ) -> String {
        // Nothing that a client sends can contain it.
        let tag = "$t\(UInt64.random(in: 0 ... .max))$"
        func array(_ type: String, _ value: (RowBuffer.Row) -> String?) -> String {
            "\(tag){\(rows.map { value($0) ?? "NULL" }.joined(separator: ","))}\(tag)::\(type)[]"
        }
        let text = { (bytes: UnsafeRawBufferPointer) in quoted(String(decoding: bytes, as: UTF8.self)) }
        let arrays = [
            array("text") { buffer.withDevice(of: $0, text) }, array("int4") { "\($0.channel)" },
            array("float8") { "\($0.power)" }, array("float8") { $0.voltage.map { "\($0)" } },
            array("float8") { $0.current.map { "\($0)" } }, array("float8") { "\($0.timestamp)" },
            array("text") { buffer.withKey(of: $0, text) },
        ]
        let insert = "INSERT INTO \(table.name.quoted)"
        return """
            DO \(tag.replacing("$t", with: "$do"))
            #variable_conflict use_column
            DECLARE
                new record; affected bigint; taken bigint := 0; lines text[] := '{}';
                state_ text; message_ text; detail_ text; constraint_ text; table_ text; column_ text; context_ text;
            BEGIN
                FOR new IN SELECT * FROM unnest(\(arrays.joined(separator: ", "))) WITH ORDINALITY
                    AS r(device_, channel_, power_, voltage_, current_, timestamp_, key_, place_)
                LOOP
                    BEGIN
                        \(insert) \(ReadingTable.columns)
                        SELECT new.device_, new.channel_, new.power_, new.voltage_, new.current_, to_timestamp(new.timestamp_), new.key_
                        WHERE (SELECT true FROM \(table.name.quoted) AS present WHERE present.idempotency_key = new.key_
                            AND present.idempotency_key IS NOT NULL\(table.condition(on: "present")) LIMIT 1) IS NULL;
                        GET DIAGNOSTICS affected = ROW_COUNT;
                        taken := taken + affected;
                    EXCEPTION WHEN OTHERS THEN
                        GET STACKED DIAGNOSTICS state_ = RETURNED_SQLSTATE, message_ = MESSAGE_TEXT, detail_ = PG_EXCEPTION_DETAIL,
                            constraint_ = CONSTRAINT_NAME, table_ = TABLE_NAME, column_ = COLUMN_NAME, context_ = PG_EXCEPTION_CONTEXT;
                        -- A function that the row has called, such as a trigger's, is named before this statement.
                        lines := lines || json_build_array(new.place_, state_, message_, nullif(detail_, ''), nullif(constraint_, ''),
                            nullif(table_, ''), nullif(column_, ''),
                            split_part(context_, \(tag)\(insert)\(tag), 1) LIKE '%(%',
                            -- In every language: `PL/pgSQL function refuse() line 1 at RAISE`.
                            split_part(context_, chr(10), 1) LIKE '%RAISE%')::text;
                    END;\(endsWithFirst ? " EXIT WHEN taken > 0;" : "")
                END LOOP;
                PERFORM set_config('\(result)', '[' || array_to_string(('[' || taken || ']')::text || lines, ',') || ']', true);
            END \(tag.replacing("$t", with: "$do"))
            """
    }

    /// An element of an array in text form.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in text.unicodeScalars {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }
}
