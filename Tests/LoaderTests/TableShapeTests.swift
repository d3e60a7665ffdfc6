import Foundation
import Postgres
import Testing

@testable import Loader

/// Kinds of tables and of their faults, each with its outcome (invariants 8 and 13).
@Suite(.enabled(if: Fixture.isAvailable))
struct TableShapeTests {
    /// A table that accepts readings of 8.9 W, but not that of 1200 W or of the device `big`.
    struct Shape: CustomTestStringConvertible {
        let name: String
        let sql: String
        let sqlState: String?
        var device = "plug"
        var power = "1200"

        var testDescription: String { name }
    }

    private static func raising(_ state: String) -> String {
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.power >= 1000 THEN RAISE 'too much' USING ERRCODE = '\(state)'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION refuse()
        """
    }

    static let rowFaults = [
        Shape(name: "numeric", sql: "ALTER TABLE power_logs ALTER power TYPE numeric(5,2)", sqlState: "22003"),
        Shape(name: "real", sql: "ALTER TABLE power_logs ALTER power TYPE real", sqlState: "22003", power: "1e300"),
        Shape(name: "int", sql: "ALTER TABLE power_logs ALTER power TYPE int", sqlState: "22003", power: "3e9"),
        Shape(
            name: "domains",
            sql: """
                CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN watts AS numeric(5,2); CREATE DOMAIN label AS text;
                ALTER TABLE power_logs ALTER timestamp TYPE moment, ALTER power TYPE watts, ALTER device_id TYPE label,
                    ALTER idempotency_key TYPE label
                """, sqlState: "22003"),
        Shape(
            name: "a domain with a check",
            sql: "CREATE DOMAIN watts AS float8 CHECK (VALUE < 1000); ALTER TABLE power_logs ALTER power TYPE watts",
            sqlState: "23514"),
        Shape(
            name: "varchar", sql: "ALTER TABLE power_logs ALTER device_id TYPE varchar(20)", sqlState: "22001",
            device: "a-device-with-a-long-name"),
        Shape(name: "check", sql: "ALTER TABLE power_logs ADD CHECK (power < 1000)", sqlState: "23514"),
        Shape(
            name: "a trigger that returns NULL",
            sql: """
                CREATE FUNCTION drop() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.power >= 1000 THEN RETURN NULL; END IF; RETURN NEW; END $$;
                CREATE TRIGGER drop BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION drop()
                """, sqlState: nil),
        Shape(
            name: "a foreign key",
            sql: """
                CREATE TABLE devices (name text PRIMARY KEY); INSERT INTO devices VALUES ('plug'), ('a');
                ALTER TABLE power_logs ADD FOREIGN KEY (device_id) REFERENCES devices
                """, sqlState: "23503", device: "stranger"),
        Shape(
            name: "a unique index of the readings' own columns",
            sql: """
                INSERT INTO power_logs (device_id, power) VALUES ('other', 1200);
                CREATE UNIQUE INDEX ON power_logs (power) WHERE power >= 1000
                """, sqlState: "23505"),
    ]

    /// A trigger may raise any state about a row, also one of the server's own.
    static let raised = ["P0001", "F0000", "HV000", "28000", "2200H", "40001", "53400", "57P03"].map {
        Shape(name: "a trigger that raises \($0)", sql: raising($0), sqlState: $0)
    }

    /// The row that does not fit is set aside and the others are inserted; neither waits for the other. If it comes
    /// again it is set aside again, or counts as a duplicate with other values if its minute has a row.
    @Test(arguments: rowFaults + raised) func aRowThatDoesNotFitIsSetAside(_ shape: Shape) throws {
        let fixture = try Fixture()
        try fixture.sql(shape.sql)
        let odd = Fixture.message(shape.device, minute: 3, power: shape.power)
        try fixture.append(Fixture.batch(odd))
        #expect(try fixture.drain().rejected == 1, "a row by itself, in an empty table")
        try fixture.append(Fixture.batch(minutes: 0..<3), Fixture.batch(odd), Fixture.batch(minutes: 4..<40))
        var summary = try fixture.drain()
        #expect((summary.inserted, summary.duplicates, summary.rejected) == (39, 0, 1))
        let letters = try fixture.deadLetters()
        #expect(letters.count == 2)
        for letter in letters {
            #expect(letter.contains(shape.sqlState.map { "\"sqlstate\":\"\($0)\"" } ?? "takes the row away"))
            #expect(letter.contains("\"device_id\":\"\(shape.device)\""))
        }
        // Only the second of these readings is for a minute without a row; the first one is a duplicate.
        try fixture.append(Fixture.batch(Fixture.message(minute: 1, power: shape.power)), Fixture.batch(odd))
        summary = try fixture.drain()
        let isAboutDevice = shape.device != "plug"
        #expect((summary.inserted, summary.duplicates, summary.rejected) == (0, 1, 1))
        #expect(summary.conflicts == 1, "\(isAboutDevice)")
        fixture.seal()
        #expect(try fixture.drain().segments == 1)
        #expect(try fixture.progress() == ["1 43 39 1 3 t"])
        #expect(try fixture.count("device_id IN ('plug', '\(shape.device)')") == 39)
    }

    /// More refused rows than are tried one by one, with two reasons. Each dead letter has the values of its own row.
    @Test func manyRowsThatDoNotFitAreSetAsideWithTheirOwnReasons() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ALTER power TYPE real, ADD CONSTRAINT small CHECK (power < 1000)")
        func power(_ minute: Int) -> String { minute % 2 == 0 ? "\(2000 + minute)" : minute % 5 == 0 ? "1e300" : "1" }
        for first in stride(from: 0, to: 2800, by: 700) {
            let messages = (first..<(first + 700)).map {
                Fixture.message("a\"\\{},'$é", minute: $0 % 1400, power: power($0))
            }
            let body = "{\"messages\":[\(messages.joined(separator: ","))]}"
            try fixture.append(body.replacing("a\"\\", with: "a\\\"\\\\"))
        }
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.duplicates, summary.rejected) == (560, 560, 1680))
        let letters = try fixture.deadLetters()
        #expect(letters.count == 1680)
        for minute in 0..<1400 where power(minute) != "1" {
            let found = letters.filter { $0.contains("\"timestamp\":\(Fixture.start + Int64(minute) * 60)") }
            let state = minute % 2 == 0 ? "23514" : "22003"
            #expect(found.count == 2 && found.allSatisfy { $0.contains("\"sqlstate\":\"\(state)\"") }, "\(found)")
            if minute % 2 == 0 { #expect(found.contains { $0.contains("\(2000 + minute)") }) }
        }
        #expect(try fixture.count("device_id = 'a\"\\{},''$é'") == 560)
    }

    /// The sequence `statements` counts the client's statements that reach a row of the table, also those that are rolled back.
    @Test func manyRefusedRowsCostFewStatements() throws {
        let fixture = try Fixture()
        try fixture.sql(
            """
            ALTER TABLE power_logs ADD CHECK (power < 1000);
            CREATE SEQUENCE statements MINVALUE 0; CREATE SEQUENCE newest;
            CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
            DECLARE now bigint := 1000000 * extract(epoch FROM statement_timestamp());
            BEGIN
                IF (SELECT last_value FROM newest) <> now THEN PERFORM setval('newest', now), nextval('statements'); END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER tally BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION tally()
            """)
        let count = 20_000
        for first in stride(from: 0, to: count, by: 1000) {
            try fixture.append(
                Fixture.batch(minutes: first..<(first + 1000), power: "1200"),
                receivedAt: Fixture.receivedAt + 20 * 86_400_000)
        }
        try fixture.append(Fixture.batch(Fixture.message("other")))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.rejected) == (1, count))
        let statements = try fixture.sql("SELECT last_value FROM statements").integer(0, 0) ?? 0
        #expect((20...200).contains(statements), "\(statements)")
    }

    /// A fault that is not a row's: no row is set aside, the message names the fix, and after it all rows are inserted.
    @Test(arguments: [
        (
            "a sequence at its end", "ALTER SEQUENCE power_logs_id_seq MAXVALUE 5", "2200H",
            "ALTER SEQUENCE power_logs_id_seq MAXVALUE 5000"
        ),
        (
            "a bigint sequence in an int column",
            "ALTER TABLE power_logs ALTER id TYPE int; SELECT setval('power_logs_id_seq', 2147483640)", "22003",
            "ALTER TABLE power_logs ALTER id TYPE bigint"
        ),
        (
            "a sequence behind the rows",
            "INSERT INTO power_logs (id, device_id) SELECT g, 'other' FROM generate_series(1, 1000) g", "23505",
            "SELECT setval('power_logs_id_seq', 1000)"
        ),
        (
            "another column that must not be null", "ALTER TABLE power_logs ADD extra text NOT NULL",
            "extra must not be null", "ALTER TABLE power_logs ALTER extra SET DEFAULT ''"
        ),
        (
            "a domain that must not be null",
            "CREATE DOMAIN amperes AS float8 NOT NULL; ALTER TABLE power_logs ALTER current TYPE amperes",
            "current must not be null", "ALTER DOMAIN amperes DROP NOT NULL"
        ),
        (
            "a domain of text as time",
            "CREATE DOMAIN moment AS text; ALTER TABLE power_logs ALTER timestamp TYPE moment", "TYPE timestamptz",
            "ALTER TABLE power_logs ALTER timestamp TYPE timestamptz USING timestamp::timestamptz"
        ),
        (
            "a check that no row passes", "ALTER TABLE power_logs ADD CONSTRAINT closed CHECK (false)", "23514",
            "ALTER TABLE power_logs DROP CONSTRAINT closed"
        ),
        (
            "a trigger with a fault",
            """
            CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.nothing := 1; RETURN NEW; END $$;
            CREATE TRIGGER broken BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION broken()
            """, "42703", "DROP TRIGGER broken ON power_logs"
        ),
        (
            "a trigger that puts every row elsewhere",
            """
            CREATE TABLE elsewhere (LIKE power_logs);
            CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
            $$ BEGIN INSERT INTO elsewhere SELECT NEW.*; RETURN NULL; END $$;
            CREATE TRIGGER route BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION route()
            """, "takes the row away", "DROP TRIGGER route ON power_logs"
        ),
        (
            "a trigger that puts every row into a child table",
            """
            CREATE TABLE child () INHERITS (power_logs);
            CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
            $$ BEGIN INSERT INTO child SELECT NEW.*; RETURN NULL; END $$;
            CREATE TRIGGER route BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION route()
            """, "and route may put rows there", "DROP TRIGGER route ON power_logs"
        ),
        (
            "a rule that puts some rows into a child table",
            """
            CREATE TABLE child () INHERITS (power_logs);
            CREATE RULE route AS ON INSERT TO power_logs WHERE NEW.power > 1 DO INSTEAD INSERT INTO child SELECT NEW.*
            """, "and route may put rows there", "DROP RULE route ON power_logs"
        ),
        (
            "an UNLOGGED table", "ALTER TABLE power_logs SET UNLOGGED", "SET LOGGED",
            "ALTER TABLE power_logs SET LOGGED"
        ),
        (
            "a time as text",
            "ALTER TABLE power_logs ALTER timestamp TYPE text", "TYPE timestamptz",
            "ALTER TABLE power_logs ALTER timestamp TYPE timestamptz USING timestamp::timestamptz"
        ),
    ])
    func aFaultOfTheTableSetsNothingAside(_ name: String, fault: String, words: String, mend: String) throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<40))
        fixture.seal()
        try fixture.append(Fixture.batch(minutes: 40..<50))
        try fixture.sql(fault)
        let error = #expect(throws: (any Error).self) { try fixture.drain() }
        let said = (error as? PostgresError)?.withRemedy ?? error.map { "\($0)" } ?? "nothing"
        #expect(said.contains(words), "\(said)")
        #expect(try fixture.deadLetters().isEmpty && fixture.progress().isEmpty)
        #expect(try fixture.count("device_id = 'plug'") == 0)
        try fixture.sql(mend)
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.rejected) == (50, 0))
    }

    /// Old rows that another program moves to a child table are duplicates like those of the table.
    @Test func childTablesThatTakeNoNewRowsAreKept() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<40))
        #expect(try fixture.drain().inserted == 40)
        try fixture.sql(
            """
            CREATE TABLE old () INHERITS (power_logs);
            CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.channel := 0; RETURN NEW; END $$;
            CREATE TRIGGER touch BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION touch();
            WITH moved AS (DELETE FROM power_logs WHERE id <= 20 RETURNING *) INSERT INTO old SELECT * FROM moved
            """)
        try fixture.migrate()
        try fixture.append(Fixture.batch(minutes: 0..<50))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.duplicates) == (10, 40))
    }

    /// The message has statements that fix the table as they are. The sequence's name is quoted as in `pg_class`.
    @Test(arguments: [
        (
            "ALTER SEQUENCE power_logs_id_seq MAXVALUE 5", "2200H",
            [
                "ALTER SEQUENCE %.power_logs_id_seq AS bigint MAXVALUE 9223372036854775807",
                "ALTER TABLE %.\"power_logs\" ALTER COLUMN id TYPE bigint",
            ]
        ),
        (
            "ALTER TABLE power_logs ALTER id TYPE int; SELECT setval('power_logs_id_seq', 2147483640)", "22003",
            [
                "ALTER SEQUENCE %.power_logs_id_seq AS bigint MAXVALUE 9223372036854775807",
                "ALTER TABLE %.\"power_logs\" ALTER COLUMN id TYPE bigint",
            ]
        ),
        (
            "INSERT INTO power_logs (id, device_id) SELECT g, 'other' FROM generate_series(1, 1000) g", "23505",
            ["SELECT setval('%.power_logs_id_seq', max(id)) FROM %.\"power_logs\""]
        ),
        (
            """
            ALTER TABLE power_logs RENAME id TO "Id of row"; ALTER TABLE power_logs ADD PRIMARY KEY ("Id of row");
            INSERT INTO power_logs ("Id of row", device_id) SELECT g, 'other' FROM generate_series(1, 1000) g
            """, "23505", ["SELECT setval('%.power_logs_id_seq', max(\"Id of row\")) FROM %.\"power_logs\""]
        ),
    ])
    func aFaultOfTheIDsNamesTheStatementsThatFixIt(_ fault: String, state: String, fixes: [String]) throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<50))
        if fault.contains("ADD PRIMARY KEY") {
            try fixture.sql("ALTER TABLE power_logs DROP CONSTRAINT power_logs_pkey")
        }
        try fixture.sql(fault)
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        let said = error.map { "\($0)" } ?? "nothing"
        #expect(said.contains(state))
        for fix in fixes.map({ $0.replacing("%", with: "\"\(fixture.schema)\"") }) {
            #expect(said.contains(fix), "\(said)")
            try fixture.sql(fix)
        }
        #expect(try fixture.drain().inserted == 50)
        #expect(try fixture.deadLetters().isEmpty)
    }

    /// Row-level security refuses a row with the SQLSTATE of a missing privilege.
    @Test func aPolicyThatRefusesARowSetsItAside() throws {
        let fixture = try Fixture()
        let role = "role-" + fixture.schema
        try fixture.sql(
            """
            CREATE ROLE "\(role)"; GRANT USAGE ON SCHEMA "\(fixture.schema)" TO "\(role)";
            GRANT ALL ON ALL TABLES IN SCHEMA "\(fixture.schema)" TO "\(role)";
            GRANT ALL ON ALL SEQUENCES IN SCHEMA "\(fixture.schema)" TO "\(role)";
            ALTER TABLE power_logs ENABLE ROW LEVEL SECURITY;
            CREATE POLICY p ON power_logs USING (true) WITH CHECK (power < 1000)
            """)
        defer { _ = try? fixture.sql("DROP OWNED BY \"\(role)\"; DROP ROLE \"\(role)\"") }
        try fixture.append(
            Fixture.batch(minutes: 0..<3), Fixture.batch(Fixture.message(minute: 3, power: "1200")),
            Fixture.batch(minutes: 4..<40))
        let options = "-c role=\(role)".utf8.map { "%" + String($0, radix: 16) }.joined()
        let url = Fixture.url + (Fixture.url.contains("?") ? "&" : "?") + "options=" + options
        let table = try fixture.table
        func drain() throws -> DrainReport.Summary {
            try fixture.drain { $0.database = Database(conninfo: url, table: table) }
        }
        let summary = try drain()
        #expect((summary.inserted, summary.rejected) == (39, 1))
        #expect(try fixture.deadLetters().allSatisfy { $0.contains("\"sqlstate\":\"42501\"") })
        // A missing privilege is not a row's fault.
        try fixture.sql("REVOKE INSERT ON power_logs FROM \"\(role)\"")
        try fixture.append(Fixture.batch(minutes: 50..<60))
        #expect(throws: PostgresError.self) { try drain() }
        #expect(try fixture.deadLetters().count == 1)
    }

    /// The database's encoding cannot represent a device's name.
    @Test func aNameThatTheEncodingLacksIsSetAside() throws {
        let fixture = try Fixture()
        let name = "latin-" + fixture.schema
        try fixture.sql(
            "CREATE DATABASE \"\(name)\" ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        defer { _ = try? fixture.sql("DROP DATABASE \"\(name)\" WITH (FORCE)") }
        let slash = try #require(Fixture.url.lastIndex(of: "/"))
        let database = Database(conninfo: Fixture.url[...slash] + name, table: try TableName("power_logs"))
        try Migrator(database: database, report: { _ in }, shutdown: ShutdownSignal()).run()
        for _ in 0..<2 {
            try fixture.append(
                Fixture.batch(minutes: 0..<20),
                Fixture.batch(Fixture.message("plug-☀"), Fixture.message("pró", minute: 1)))
        }
        let summary = try fixture.drain { $0.database = database }
        #expect((summary.inserted, summary.duplicates, summary.rejected) == (21, 21, 2))
        #expect(try fixture.deadLetters().allSatisfy { $0.contains("\"sqlstate\":\"22P05\"") })
        try fixture.append(Fixture.batch(Fixture.message("plug-☀"), Fixture.message("pró", minute: 1)))
        let again = try fixture.drain { $0.database = database }
        #expect((again.inserted, again.duplicates, again.rejected) == (0, 1, 1))
        // No row can have such a key, so its dead letter must be there.
        func verify() throws -> VerificationReport.Summary {
            let report = VerificationReport { _ in }
            var verification = Verification(directory: fixture.directory)
            verification.reconciliation = try Fixture.untilConnected {
                try Reconciliation(database, directory: fixture.directory)
            }
            try verification.run(report)
            return report.summary
        }
        #expect(
            try verify().database
                == VerificationReport.DatabaseCounts(readings: 46, rejected: 3, missing: 0, notLoadedYet: 0))
        for file in try fixture.directory.deadLetterFiles() { try FileManager.default.removeItem(atPath: file.string) }
        #expect(try verify().database?.missing == 3)
    }

    /// Replays and single runs do not advance the sequence beyond the rows.
    @Test func duplicatesConsumeNoIds() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<100))
        _ = try fixture.drain()
        let last = "SELECT last_value FROM power_logs_id_seq"
        #expect(try fixture.rows(last) == ["100"])
        for run in 1...3 {
            try fixture.append(Fixture.batch(minutes: 0..<100), Fixture.batch(minutes: (99 + run)..<(100 + run)))
            #expect(try fixture.drain().duplicates == 100)
            #expect(try fixture.rows(last) == ["\(100 + run)"])
        }
    }
}
