import Postgres
import Testing

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct MigratorTests {
    @Test func anEmptySchemaGetsTablesAndIndexes() throws {
        let fixture = try Fixture(migrated: false)
        #expect(try fixture.migrate().allSatisfy { $0.hasPrefix("created ") || $0.hasPrefix("added ") })
        #expect(
            try fixture.rows("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema ORDER BY 1") == [
                "idx_power_logs_idempotency", "idx_power_logs_timestamp", "power_logs_pkey", "spool_lease_pkey",
                "spool_progress_pkey",
            ])
        #expect(
            try fixture.rows(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'power_logs'::regclass AND attnum > 0 "
                    + "AND col_description(attrelid, attnum) IS NULL") == ["id"])
    }

    @Test func aSecondRunChangesNothing() throws {
        let fixture = try Fixture()
        #expect(try fixture.migrate().allSatisfy { $0.hasSuffix(": already exists") })
    }

    @Test func anotherWritersTableGetsTheMissingColumnsAndIndexes() throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql(
            """
            CREATE TABLE power_logs(id bigserial primary key, device_id text, channel int, power double precision,
                voltage double precision, current double precision, timestamp timestamptz);
            INSERT INTO power_logs (device_id, channel, power, timestamp) SELECT 'other', 0, g, now() FROM generate_series(1, 3) g
            """)
        let said = try fixture.migrate()
        #expect(said.first?.hasSuffix("already exists") == true)
        #expect(said.contains { $0.hasPrefix("added column") })
        #expect(said.contains { $0.hasPrefix("created index") && $0.hasSuffix(#""idx_power_logs_timestamp""#) })
        #expect(try fixture.count("idempotency_key IS NULL") == 3)
        try fixture.append(Fixture.batch(Fixture.message()))
        #expect(try fixture.drain().inserted == 1)
        try fixture.sql("INSERT INTO power_logs (device_id) VALUES ('other'), ('other')")
        #expect(try fixture.count() == 6)
    }

    @Test func anInvalidIndexIsBuiltAgain() throws {
        let fixture = try Fixture()
        try fixture.sql(
            "DROP INDEX idx_power_logs_idempotency; INSERT INTO power_logs (idempotency_key) VALUES ('twice'), ('twice')"
        )
        // The duplicate makes the build fail, which leaves an invalid index.
        #expect(throws: PostgresError.self) {
            try fixture.sql(
                "CREATE UNIQUE INDEX CONCURRENTLY idx_power_logs_idempotency ON power_logs (idempotency_key) "
                    + "WHERE idempotency_key IS NOT NULL")
        }
        let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = 'power_logs'::regclass"
        #expect(try fixture.rows(invalid) == ["1"])
        // While the duplicate exists the build fails again, and removes its invalid index.
        let error = #expect(throws: LoaderError.self) { try fixture.migrate() }
        #expect(error?.description.contains("DELETE FROM") == true)
        #expect(try fixture.rows(invalid) == ["0"])
        try fixture.sql("DELETE FROM power_logs")
        try fixture.migrate()
        #expect(try fixture.drain().problems == 0)
    }

    @Test func migrateGivesUpOnALockedTable() throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql("CREATE TABLE power_logs(id bigserial primary key)")
        try fixture.sql("BEGIN; SELECT * FROM power_logs")
        let other = try fixture.database
        let migrator = Migrator(
            database: other, report: { _ in }, lockTimeout: .milliseconds(50), lockAttempts: 2,
            shutdown: ShutdownSignal())
        let error = #expect(throws: LoaderError.self) { try migrator.run() }
        #expect(error?.description.contains("stayed locked by other transactions") == true)
        try fixture.sql("ROLLBACK")
    }

    @Test func missingColumnsAreAdded() throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql("CREATE TABLE power_logs(id bigserial primary key, device_id text, timestamp timestamptz)")
        #expect(try fixture.migrate().count { $0.hasPrefix("added column") } == 6)
        try fixture.append(Fixture.batch(minutes: 0..<1))
        #expect(try fixture.drain().inserted == 1)
    }

    /// A table that would refuse every reading, or that cannot have the index, is refused before anything is loaded.
    @Test(arguments: [
        ("CREATE TABLE power_logs(id bigint PRIMARY KEY, device_id text)", "id must not be null"),
        (
            "CREATE TABLE power_logs(extra text NOT NULL, voltage real NOT NULL DEFAULT 0)",
            "extra, voltage must not be null"
        ),
        ("CREATE VIEW power_logs AS SELECT 1 AS id", "is a view"),
        (
            "CREATE TABLE power_logs(device_id text); CREATE INDEX idx_power_logs_timestamp ON power_logs (device_id)",
            "but on device_id instead of timestamp"
        ),
        ("CREATE TABLE other(a int); CREATE INDEX idx_power_logs_timestamp ON other (a)", "another object has"),
        ("CREATE TABLE spool_progress(a int)", "spool_progress"),
    ])
    func anUnsuitableTableIsRefusedWithItsReason(sql: String, reason: String) throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql(sql)
        let error = #expect(throws: (any Error).self) { try fixture.migrate() }
        #expect(error.map { "\($0)" }?.contains(reason) == true, "\(error.map { "\($0)" } ?? "nothing")")
    }

    @Test func otherTablesGetIndexNamesOfTheirOwn() throws {
        let sql = Migrator.sql(for: try TableName("energy.readings"))
        #expect(sql.contains(#""idx_readings_idempotency" ON "energy"."readings" (idempotency_key) WHERE"#))
    }
}
