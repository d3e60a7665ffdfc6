import Foundation
import Postgres
import Testing

@testable import Loader

/// Rows that the table refuses before it has taken one: they block no other row, and nothing is set aside for a fault of
/// the table (invariants 8 and 13).
@Suite(.enabled(if: Fixture.isAvailable))
struct RowControlTests {
    struct Shape: CustomTestStringConvertible {
        let name: String
        let sql: String

        var testDescription: String { name }
    }

    private static let foreignKey = """
        CREATE TABLE devices (name text PRIMARY KEY);
        ALTER TABLE power_logs ADD FOREIGN KEY (device_id) REFERENCES devices
        """

    /// Tables that take readings of the device `plug` and of no other.
    private static let shapes = [
        Shape(name: "a foreign key", sql: foreignKey + "; INSERT INTO devices VALUES ('plug')"),
        Shape(name: "a check", sql: "ALTER TABLE power_logs ADD CHECK (device_id LIKE 'plug%')"),
        Shape(
            name: "a trigger",
            sql: """
                CREATE FUNCTION drop() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.device_id <> 'plug' THEN RETURN NULL; END IF; RETURN NEW; END $$;
                CREATE TRIGGER drop BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION drop()
                """),
    ]

    private func fixture(_ sql: String, isPartitioned: Bool) throws -> Fixture {
        let fixture = try Fixture(migrated: !isPartitioned)
        if isPartitioned {
            try fixture.sql(PartitionTests.byTime)
            try fixture.migrate()
        }
        try fixture.sql(sql)
        return fixture
    }

    private func drain(_ fixture: Fixture) throws -> [Int] {
        let summary = try fixture.drain()
        return [summary.inserted, summary.duplicates, summary.rejected]
    }

    private func expectsNoLoad(_ fixture: Fixture) throws {
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        #expect(error?.description.contains("refuses every row") == true, "\(error.map { "\($0)" } ?? "")")
        #expect(try fixture.deadLetters().isEmpty)
    }

    /// An empty table. The first segment has only the unknown device, and the next one the others.
    @Test(arguments: shapes, [false, true])
    func anUnknownDeviceWaitsForAnotherDeviceOnly(_ shape: Shape, isPartitioned: Bool) throws {
        let fixture = try fixture(shape.sql, isPartitioned: isPartitioned)
        try fixture.append(Fixture.batch(minutes: 0..<3, device: "stranger"))
        fixture.seal()
        try expectsNoLoad(fixture)
        try fixture.append(Fixture.batch(minutes: 0..<2, device: "foreigner"))
        try expectsNoLoad(fixture)
        try fixture.append(Fixture.batch(minutes: 0..<50))
        #expect(try drain(fixture) == [50, 0, 5])
        #expect(try fixture.deadLetters().count == 5)
        // A table with rows, and an empty partition.
        try fixture.append(Fixture.batch(Fixture.message("stranger", minute: -7200)))
        #expect(try drain(fixture) == [0, 0, 1])
        let messages = [Fixture.message("stranger", minute: -14_400)] + (50..<100).map { Fixture.message(minute: $0) }
        try fixture.append("{\"messages\":[\(messages.joined(separator: ","))]}")
        #expect(try drain(fixture) == [50, 0, 1])
    }

    /// The rows of the unknown device come first in the order of keys, and are more than are tried at once.
    @Test(arguments: shapes, [false, true])
    func manyRowsOfAnUnknownDeviceAreSetAside(_ shape: Shape, isPartitioned: Bool) throws {
        let fixture = try fixture(shape.sql, isPartitioned: isPartitioned)
        for first in stride(from: -2400, to: 0, by: 600) {
            try fixture.append(Fixture.batch(minutes: first..<(first + 600), device: "alien"))
        }
        try fixture.append(Fixture.batch(Fixture.message()))
        #expect(try drain(fixture) == [1, 0, 2400])
    }

    /// Each refuses all rows, or all from some time on, when the table has rows of the time before.
    @Test(
        arguments: [
            Shape(
                name: "no device is known",
                sql: foreignKey.replacing("REFERENCES devices", with: "REFERENCES devices NOT VALID")),
            Shape(name: "a check that no row passes", sql: "ALTER TABLE power_logs ADD CHECK (false) NOT VALID"),
            Shape(
                name: "a check that no row passes from a time on",
                sql: "ALTER TABLE power_logs ADD CHECK (timestamp < '2025-11-23 12:43:30+00')"),
            Shape(
                name: "a trigger that drops all from a time on",
                sql: """
                    CREATE FUNCTION drop() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN IF NEW.timestamp > '2025-11-23 12:43:30+00' THEN RETURN NULL; END IF; RETURN NEW; END $$;
                    CREATE TRIGGER drop BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION drop()
                    """),
        ], [false, true])
    func aFaultOfTheTableSetsNothingAside(_ shape: Shape, hasRows: Bool) throws {
        let fixture = try Fixture()
        if hasRows {
            try fixture.append(Fixture.batch(minutes: 0..<10), Fixture.batch(minutes: 0..<10, device: "other"))
            #expect(try fixture.drain().inserted == 20)
        }
        try fixture.sql(shape.sql)
        // Up to 12:43, and then later.
        for minutes in [20..<40, 40..<60] {
            try fixture.append(Fixture.batch(minutes: minutes), Fixture.batch(minutes: minutes, device: "other"))
            fixture.seal()
            try expectsNoLoad(fixture)
        }
    }

    /// A clock that was set back. The table has a row of a later time, so the time is the reading's own fault.
    @Test func aReadingOfATimeLongAgoIsSetAsideAtOnce() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (timestamp > '2020-01-01')")
        try fixture.append(
            Fixture.batch(minutes: 0..<10), Fixture.batch(Fixture.message("wrong", minute: -29_398_332)))
        #expect(try drain(fixture) == [10, 0, 1])
        // Also alone in its run.
        try fixture.append(Fixture.batch(Fixture.message("wrong", minute: -29_398_331)))
        #expect(try drain(fixture) == [0, 0, 1])
    }

    /// A reading that came later has an earlier time, which the table takes. That shows nothing about the times behind.
    @Test func anEarlierTimeSetsNothingAsideIfTheTableTakesNoLaterOne() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (timestamp < '2025-11-23 12:43:30+00')")
        let refused = Fixture.batch(Fixture.message("plug", minute: 40))
        try fixture.append(refused, Fixture.batch(Fixture.message("other", minute: 0)))
        fixture.seal()
        try fixture.append(Fixture.batch(Fixture.message("unset", minute: -29_398_332)))
        try expectsNoLoad(fixture)
    }

    /// A clock that was set ahead. That this time is wrong, a reading that comes later shows.
    @Test func aReadingOfATimeAheadIsSetAsideWhenAnotherComes() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (timestamp < now() + interval '1 hour')")
        let now = Int64(Date.now.timeIntervalSince1970)
        let ahead = Fixture.message("wrong", minute: Int((now - Fixture.start) / 60) + 360)
        try fixture.append(Fixture.batch(minutes: 0..<10), Fixture.batch(ahead), receivedAt: now * 1000)
        try expectsNoLoad(fixture)
        try fixture.append(Fixture.batch(minutes: 10..<20))
        #expect(try drain(fixture) == [20, 0, 1])
    }
}
