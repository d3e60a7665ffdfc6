import Checkup
import Postgres
import Testing

@testable import Loader

/// Faults of a table that will stop the loader later and that `doctor` reports, each with the SQL that causes it; and
/// shapes that are no fault.
@Suite(.enabled(if: Fixture.isAvailable))
struct ForesightTests {
    private func results(after sql: String) throws -> [CheckResult] {
        let fixture = try Fixture()
        try fixture.sql(sql)
        return try ForesightCheck(fixture.connection, try fixture.table).results()
    }

    @Test(
        arguments: [
            ("ALTER power TYPE real", ["narrow columns power real (up to 3.4e38)"]),
            (
                "ALTER power TYPE int",
                ["narrow columns power integer (up to 2147483647)", "rounding power integer"]
            ),
            ("ALTER power TYPE numeric(7,0)", ["rounding power numeric(7,0)"]),
            ("ALTER power TYPE numeric(7,2)", []),
            ("ALTER power TYPE numeric", []),
            ("ALTER power TYPE watts", ["narrow columns power watts (numeric(5,2))"]),
            ("ALTER power TYPE kilowatts", ["narrow columns power kilowatts (numeric(5,2))"]),
            (
                "ALTER voltage TYPE volts",
                ["narrow columns voltage volts (integer) (up to 2147483647)", "rounding voltage volts (integer)"]
            ),
            ("ALTER device_id TYPE label", ["narrow columns device_id label (character varying(20))"]),
            ("ALTER timestamp TYPE moment, ALTER power TYPE any_watts", []),
        ] as [(String, [String])])
    func columnsThatCannotHoldEveryPowerAreReported(_ change: String, findings: [String]) throws {
        let results = try results(
            after: """
                CREATE DOMAIN watts AS numeric(5,2); CREATE DOMAIN kilowatts AS watts; CREATE DOMAIN volts AS int;
                CREATE DOMAIN label AS varchar(20); CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN any_watts AS float8;
                ALTER TABLE power_logs \(change)
                """)
        #expect(results.allSatisfy { $0.verdict == .warn })
        #expect(results.map { "\($0.subject) \($0.finding.prefix { $0 != ":" })" } == findings)
    }

    /// The sequence's options and its last value, and whether there is a warning or a failure.
    @Test(
        arguments: [
            ("MAXVALUE 1000", 900, nil), ("MAXVALUE 1000", 902, .warn), ("MAXVALUE 1000", 1000, .fail),
            ("INCREMENT -1 MINVALUE -1000 MAXVALUE -1 START -1", -900, nil),
            ("INCREMENT -1 MINVALUE -1000 MAXVALUE -1 START -1", -902, .warn),
            ("INCREMENT -1 MINVALUE -1000 MAXVALUE -1 START -1", -1000, .fail),
            // From the largest number down to 1.
            ("INCREMENT -1 MINVALUE 1 MAXVALUE 1000 START 1000", 900, nil),
            ("INCREMENT -1 MINVALUE 1 MAXVALUE 1000 START 1000", 50, .warn),
            ("INCREMENT -1 MINVALUE -9223372036854775808 MAXVALUE -1 START -1", -2_147_483_000, nil),
        ] as [(String, Int, CheckResult.Level?)])
    func sequencesNearTheirEndAreReported(_ options: String, last: Int, verdict: CheckResult.Level?) throws {
        let set = "ALTER SEQUENCE power_logs_id_seq \(options) RESTART; SELECT setval('power_logs_id_seq', \(last))"
        #expect(try results(after: set).map(\.verdict) == (verdict.map { [$0] } ?? []))
        // The column's range ends before the sequence does.
        let column = try results(after: "ALTER TABLE power_logs ALTER id TYPE int; \(set)").map(\.verdict)
        #expect(column == (last < -1_000_000_000 ? [.warn] : verdict.map { [$0] } ?? []))
    }

    /// The body of a trigger's function, and the statements that fire the trigger.
    @Test(arguments: [
        ("BEGIN RETURN NEW; END", "INSERT", false),
        ("BEGIN /* RETURN NULL; */ NEW.power := 1; -- return null;\n return (new); END", "INSERT", false),
        ("BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END", "INSERT OR DELETE", false),
        ("BEGIN RETURN coalesce(NEW, OLD); END", "INSERT OR UPDATE", false),
        ("BEGIN IF NEW.power < 0 THEN RETURN NULL; END IF; RETURN NEW; END", "INSERT", true),
        ("BEGIN RETURN OLD; END", "INSERT", true),
        ("BEGIN RETURN CASE WHEN NEW.power > 0 THEN NEW END; END", "INSERT", true),
        ("DECLARE r power_logs; BEGIN SELECT * INTO r FROM power_logs WHERE false; RETURN r; END", "INSERT", true),
    ])
    func triggersThatMayDiscardRowsAreReported(_ body: String, event: String, warns: Bool) throws {
        let found = try results(
            after: """
                CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ \(body) $$;
                CREATE TRIGGER act BEFORE \(event) ON power_logs FOR EACH ROW EXECUTE FUNCTION act()
                """)
        #expect(found.map(\.subject) == (warns ? ["triggers"] : []))
    }
}
