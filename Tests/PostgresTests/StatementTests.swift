import Postgres
import Testing

@Suite(.needsDatabase) struct StatementTests {
    @Test func scalarsAndNullsAreReadBack() throws {
        let rows = try TestDatabase.connect().execute(
            """
            SELECT $1::text AS a, $2::text, $3::int8, $4::int8, $5::float8, $6::float8, $7::bool, $8::bool, $9::float8
            """,
            [
                .text("it's \"é\" \\ \n"), .text(nil), .integer(.min), .integer(nil), .double(0.1), .double(nil),
                .bool(true), .bool(nil), .double(-.infinity),
            ])
        #expect(rows.count == 1 && rows.columns.count == 9 && rows.columns[0] == "a")
        let values = (0..<9).map { rows[0, $0] }
        #expect(
            values == [
                "it's \"é\" \\ \n", nil, "-9223372036854775808", nil, "0.1", nil, "t", nil, "-Infinity",
            ])
        #expect(rows.integer(0, 2) == .min && rows.integer(0, 3) == nil && rows.integer(0, 0) == nil)
    }

    @Test func arraysAndTheirNullsAreReadBack() throws {
        var texts = BinaryArray(.text)
        texts.append(utf8: "a,\"é\"".utf8)
        texts.appendNull()
        texts.append(utf8: "".utf8)
        var small = BinaryArray(.int4)
        small.append(Int32.min)
        small.appendNull()
        var large = BinaryArray(.int8)
        large.append(Int64.max)
        var doubles = BinaryArray(.float8)
        doubles.append(-0.25)
        doubles.append(Double.greatestFiniteMagnitude)
        var times = BinaryArray(.timestamptz)
        times.append(unixSeconds: 1_732_320_000)
        times.append(timestampMicroseconds: -1)
        let rows = try TestDatabase.connect().query(
            "SELECT $1, $2, $3, $4, $5, $1 = ARRAY['a,\"é\"', NULL, '']",
            [.array(texts), .array(small), .array(large), .array(doubles), .array(times)])
        #expect(rows[0, 0] == #"{"a,\"é\"",NULL,""}"# && rows[0, 5] == "t")
        #expect(rows[0, 1] == "{-2147483648,NULL}" && rows[0, 2] == "{9223372036854775807}")
        #expect(rows[0, 3] == "{-0.25,1.7976931348623157e+308}")
        #expect(rows[0, 4] == #"{"2024-11-23 00:00:00+00","1969-12-31 23:59:59.999999+00"}"#)
    }

    @Test(arguments: [BinaryArray.Element.text, .int4, .int8, .float8, .timestamptz])
    func emptyArraysAreEmpty(_ element: BinaryArray.Element) throws {
        let rows = try TestDatabase.connect().execute(
            "SELECT cardinality($1), (SELECT count(*) FROM unnest($1))", [.array(BinaryArray(element))])
        #expect(rows.integer(0, 0) == 0 && rows.integer(0, 1) == 0)
    }

    @Test func fiftyThousandRowsAreInsertedByUnnest() throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute("CREATE TABLE t (k text, c int4, p float8, v float8, at timestamptz)")
            var keys = BinaryArray(.text)
            var channels = BinaryArray(.int4)
            var powers = BinaryArray(.float8)
            var voltages = BinaryArray(.float8)
            var times = BinaryArray(.timestamptz)
            for row in 0..<50_000 {
                keys.append(utf8: "shellypro4pm-\(row)-\(String(repeating: "x", count: 80))".utf8)
                channels.append(Int32(row % 4))
                powers.append(Double(row) / 10)
                if row % 5 == 0 { voltages.appendNull() } else { voltages.append(230.5) }
                times.append(unixSeconds: 1_732_320_000 + Int64(row))
            }
            #expect(keys.byteCount > 5_000_000)
            // RETURNING makes the server answer with megabytes as well.
            let rows = try connection.execute(
                """
                INSERT INTO t SELECT * FROM unnest($1, $2, $3, $4, $5) RETURNING k
                """, [.array(keys), .array(channels), .array(powers), .array(voltages), .array(times)])
            #expect(rows.affected == 50_000 && rows.count == 50_000)
            let sums = try connection.execute(
                """
                SELECT count(*), sum(c), sum(p), count(v), max(at) = '2024-11-23 13:53:19+00', count(DISTINCT k) FROM t
                """)
            #expect((0..<6).map { sums[0, $0] } == ["50000", "75000", "124997500", "40000", "t", "50000"])
        }
    }

    @Test func aStatementOfMegabytesIsSentCompletely() throws {
        let text = String(repeating: "x", count: 20_000_000)
        let connection = try TestDatabase.connect()
        #expect(try connection.execute("SELECT length('\(text)')").integer(0, 0) == 20_000_000)
        #expect(try connection.execute("SELECT length($1)", [.text(text)]).integer(0, 0) == 20_000_000)
    }

    @Test func lastOfSeveralStatementsGivesTheResult() throws {
        let connection = try TestDatabase.connect()
        let rows = try connection.execute("SELECT 1; SELECT x FROM generate_series(1, 3) x")
        #expect(rows.count == 3 && rows.affected == 3 && rows.columns == ["x"])
        #expect(try connection.execute("").count == 0)
    }

    @Test func errorsHaveTheirSQLStateAndLeaveTheConnectionUsable() throws {
        try TestDatabase.withSchema { connection in
            let missing = try failure { _ = try connection.execute("SELECT * FROM nowhere") }
            #expect(missing.sqlState == "42P01" && !missing.isTemporary)
            _ = try connection.execute("CREATE TABLE t (k text UNIQUE); INSERT INTO t VALUES ('one')")
            let twice = try failure { _ = try connection.execute("INSERT INTO t VALUES ($1)", [.text("one")]) }
            #expect(
                twice.description
                    == """
                    database error 23505: duplicate key value violates unique constraint "t_k_key" \
                    (Key (k)=(one) already exists.)
                    """)
            let many = try failure { _ = try connection.execute("SELECT 1; SELECT 1/0; SELECT 2") }
            #expect(many.sqlState == "22012")
            #expect(try connection.execute("SELECT count(*) FROM t").integer(0, 0) == 1)
        }
    }

    @Test func misuseIsInvalidAndNoParameterIsTruncated() throws {
        let connection = try TestDatabase.connect()
        #expect(try failure { _ = try connection.execute("SELECT 1\0; DROP") }.isInvalid)
        #expect(try failure { _ = try connection.execute("SELECT $1", [.text("a\0b")]) }.isInvalid)
        let many = [Parameter](repeating: .bool(nil), count: 65_536)
        #expect(try failure { _ = try connection.execute("SELECT $1", many) }.isInvalid)
        #expect(try connection.execute("SELECT 1").count == 1)
        #expect(try failure { _ = try connection.execute("COPY (SELECT 1) TO STDOUT") }.isInvalid)
        #expect(!connection.isUsable)
    }

    @Test func identifiersAreQuoted() throws {
        #expect(TableName.quote("power \"logs\"") == #""power ""logs""""#)
        #expect(try TableName("Öffentlich.power_logs").quoted == #""Öffentlich"."power_logs""#)
        #expect(try failure { _ = try TableName("a.b.c") }.isInvalid)
    }

    @Test func transactionIsInUTCAndUTF8AndNamed() throws {
        let connection = try TestDatabase.connect()
        let rows = try connection.query(
            """
            SELECT current_setting('TimeZone'), current_setting('client_encoding'),
                   current_setting('application_name'), pg_backend_pid()
            """)
        #expect((0..<3).map { rows[0, $0] } == ["UTC", "UTF8", "tests"])
        #expect(rows.integer(0, 3) == Int(connection.processID) && connection.serverVersion >= 100_000)
        #expect(try !connection.isPooled())
    }
}
