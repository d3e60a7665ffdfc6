import Checkup
import Dispatch
import Glibc
import Postgres
import Synchronization
import Testing
import Time

@testable import Loader

/// Tables that are partitioned by time (invariants 2, 8 and 13).
@Suite(.enabled(if: Fixture.isAvailable))
struct PartitionTests {
    /// The fixture's first minute is 12:13, so its batches of 40 minutes are in both partitions.
    static let halves = """
        CREATE TABLE early PARTITION OF power_logs FOR VALUES FROM (MINVALUE) TO ('2025-11-23 12:30:00+00');
        CREATE TABLE late PARTITION OF power_logs FOR VALUES FROM ('2025-11-23 12:30:00+00') TO ('2025-11-24 00:00:00+00');
        """

    static func table(by key: String, _ columns: String = "", time: String = "timestamptz") -> String {
        """
        CREATE TABLE power_logs (id bigserial, device_id text, channel int, power float8, voltage float8, current float8,
            timestamp \(time), idempotency_key text\(columns)) PARTITION BY \(key);

        """
    }

    static let byTime = table(by: "RANGE (timestamp)")

    /// A table of the user, to which `migrate` adds the missing parts.
    private func fixture(_ sql: String) throws -> Fixture {
        let fixture = try Fixture(migrated: false)
        try fixture.sql(sql)
        try fixture.migrate()
        return fixture
    }

    private func migrate(_ fixture: Fixture, _ width: PartitionWidth) throws -> [String] {
        try Fixture.untilConnected {
            var lines: [String] = []
            try Migrator(
                database: try fixture.database, partitions: width, report: { lines.append($0) },
                shutdown: ShutdownSignal()
            ).run()
            return lines
        }
    }

    private func partitions(_ fixture: Fixture) throws -> [String] {
        try fixture.rows(
            """
            SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'power_logs'::regclass
            ORDER BY 1
            """)
    }

    private func upkeep(_ fixture: Fixture, _ lockTimeout: Duration) throws -> PartitionUpkeep {
        PartitionUpkeep(
            table: try fixture.table, connection: try Fixture.connect(), report: { _ in }, lockTimeout: lockTimeout)
    }

    @Test(arguments: [(PartitionWidth.day, 22...23), (.week, 4...5), (.month, 1...3)])
    func aNewTableHasPartitions(_ width: PartitionWidth, count: ClosedRange<Int>) throws {
        let fixture = try Fixture(migrated: false)
        let said = try migrate(fixture, width)
        let names = try partitions(fixture)
        #expect(names.contains("power_logs_older"))
        #expect(count.contains(names.count - 1), "\(names)")
        #expect(said.count { $0.hasPrefix("created partition") } == names.count)
        #expect(try migrate(fixture, width).allSatisfy { $0.contains("already exist") })
        #expect(try fixture.migrate().allSatisfy { $0.contains("already exist") })
        try fixture.append(Fixture.batch(minutes: 0..<40), Fixture.batch(minutes: 20..<60, power: "2"))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.duplicates, summary.conflicts) == (60, 20, 20))
        #expect(try partitions(fixture) == names)
        #expect(try fixture.rows("SELECT count(*) FROM power_logs_older") == ["60"])
        #expect(
            try fixture.rows(
                "SELECT count(*) FROM pg_indexes WHERE tablename = 'power_logs_older' AND schemaname = current_schema")
                == ["3"])
    }

    @Test func thePrintedSQLCreatesTheSameTable() throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql(Migrator.sql(for: fixture.table, partitions: .week))
        #expect(try migrate(fixture, .week).allSatisfy { $0.contains("already exist") })
        try fixture.append(Fixture.batch(minutes: 0..<40))
        #expect(try fixture.drain().inserted == 40)
    }

    @Test func anExistingPlainTableIsNotConverted() throws {
        let fixture = try Fixture()
        let error = #expect(throws: LoaderError.self) { try migrate(fixture, .day) }
        #expect(error?.description.contains("MOVING_IN") == true)
    }

    /// Kinds of partitioned table that accept readings.
    @Test(arguments: [
        ("by time", byTime + halves),
        ("in time without zone", table(by: "RANGE (timestamp)", time: "timestamp") + halves),
        (
            "with a default partition",
            byTime + halves.replacing("MINVALUE", with: "'2025-11-23 12:29:00+00'")
                + "CREATE TABLE other PARTITION OF power_logs DEFAULT;"
        ),
        (
            "divided further",
            byTime + """
                CREATE TABLE early PARTITION OF power_logs FOR VALUES FROM (MINVALUE) TO ('2025-11-23 12:30:00+00')
                    PARTITION BY HASH (device_id, channel);
                CREATE TABLE early0 PARTITION OF early FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                CREATE TABLE early1 PARTITION OF early FOR VALUES WITH (MODULUS 2, REMAINDER 1);
                CREATE TABLE late PARTITION OF power_logs FOR VALUES FROM ('2025-11-23 12:30:00+00') TO (MAXVALUE)
                    PARTITION BY RANGE (timestamp);
                CREATE TABLE late0 PARTITION OF late FOR VALUES FROM (MINVALUE) TO ('2025-11-23 12:40:00+00');
                CREATE TABLE late1 PARTITION OF late FOR VALUES FROM ('2025-11-23 12:40:00+00') TO (MAXVALUE);
                """
        ),
        (
            "with an identity, a generated column, a primary key and a trigger",
            """
            CREATE TABLE power_logs (id bigint GENERATED ALWAYS AS IDENTITY, device_id varchar(200), channel int,
                power real, voltage real, current real, timestamp timestamptz, idempotency_key text,
                watts float8 GENERATED ALWAYS AS (power * 1) STORED, seen timestamptz DEFAULT now(),
                PRIMARY KEY (id, timestamp)) PARTITION BY RANGE (timestamp);
            \(halves)
            CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen := now(); RETURN NEW; END $$;
            CREATE TRIGGER touch BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION touch();
            """
        ),
        ("without partitions", byTime),
    ])
    func readingsOfAllPartitionsAreLoadedOnce(_ name: String, sql: String) throws {
        let fixture = try fixture(sql)
        for _ in 0..<2 { try fixture.append(Fixture.batch(minutes: 0..<40)) }
        #expect(try fixture.drain().inserted == 40)
        try fixture.append(Fixture.batch(minutes: 0..<40), Fixture.batch(minutes: 10..<50, power: "2"))
        // Only some of the tables have a partition for the next day.
        try fixture.append(Fixture.batch(minutes: 1440..<1450))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.duplicates, summary.conflicts, summary.rejected) == (20, 70, 30, 0))
        #expect(try fixture.count() == 60)
        #expect(
            try fixture.rows("SELECT count(DISTINCT idempotency_key), count(DISTINCT id) FROM power_logs") == ["60 60"])
        let report = VerificationReport { _ in }
        var verification = Verification(directory: fixture.directory)
        verification.reconciliation = try Reconciliation(try fixture.database, directory: fixture.directory)
        try verification.run(report)
        #expect((report.summary.problems, report.summary.database?.readings) == (0, 170))
        try fixture.sql("DELETE FROM power_logs WHERE timestamp < '2025-11-23 12:20:00+00'")
        let replay = Replay(
            selection: try ReadingSelection.parse([]), rules: try RuleChange.parse([]),
            destination: Replay.Destination(
                connection: try Fixture.connect(), table: ReadingTable(name: try fixture.table)),
            damaged: { _ in })
        let file = try SegmentFile.named([], in: { fixture.directory })[0]
        let counts = try replay.run(file)
        #expect((counts.inserted, counts.duplicates) == (7, 163))
    }

    /// In these tables a key could be in two partitions, or the loader cannot rule it out. It loads nothing until the
    /// table is changed.
    @Test(arguments: [
        ("by list", table(by: "LIST (device_id)"), "is partitioned by LIST (device_id)"),
        ("by hash", table(by: "HASH (idempotency_key)"), "is partitioned by HASH (idempotency_key)"),
        ("by the device too", table(by: "RANGE (timestamp, device_id)"), "RANGE (\"timestamp\", device_id)"),
        ("by an expression", table(by: "RANGE ((timestamp AT TIME ZONE 'UTC'))"), "is partitioned by RANGE"),
        (
            "by the value below",
            byTime
                + "CREATE TABLE all_time PARTITION OF power_logs FOR VALUES FROM (MINVALUE) TO (MAXVALUE) PARTITION BY HASH (power)",
            "is partitioned by HASH (power)"
        ),
        (
            "in the middle of a minute",
            byTime + halves.replacing("12:30:00", with: "12:30:30"), "begin or end within a minute"
        ),
    ])
    func anUnsupportedPartitioningIsRefused(_ name: String, sql: String, words: String) throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql(sql)
        let error = #expect(throws: LoaderError.self) { try fixture.migrate() }
        #expect(error?.description.contains(words) == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test func aPartitionThatSplitsAMinuteIsRefusedWhenItIsAttached() throws {
        let fixture = try fixture(Self.byTime)
        try fixture.sql(Self.halves.replacing("12:30:00", with: "12:30:30"))
        try fixture.append(Fixture.batch(minutes: 0..<40))
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        #expect(error?.description.contains("begin or end within a minute") == true)
        #expect(try fixture.count() == 0 && fixture.deadLetters().isEmpty)
    }

    /// Faults of one partition. No row is set aside, and rows of the other partitions are loaded until a row needs that
    /// one.
    @Test(arguments: [
        ("no index", "DROP INDEX late_idempotency_key_idx", "no unique index on idempotency_key", ""),
        (
            "an index that is not unique",
            "DROP INDEX late_idempotency_key_idx; CREATE INDEX ON late (idempotency_key)",
            "no unique index on idempotency_key", ""
        ),
        (
            "an index of some rows",
            "DROP INDEX late_idempotency_key_idx; CREATE UNIQUE INDEX ON late (idempotency_key) WHERE power > 1",
            "no unique index on idempotency_key", ""
        ),
        ("an UNLOGGED partition", "ALTER TABLE late SET UNLOGGED", "SET LOGGED", "ALTER TABLE late SET LOGGED"),
        (
            "a check that no row passes", "ALTER TABLE late ADD CONSTRAINT closed CHECK (false)", "refuses every row",
            "ALTER TABLE late DROP CONSTRAINT closed"
        ),
    ])
    func aFaultOfAPartitionStopsOnlyItsRows(_ name: String, fault: String, words: String, mend: String) throws {
        let fixture = try fixture(Self.byTime + Self.halves)
        try fixture.sql(fault)
        try fixture.append(Fixture.batch(minutes: 0..<10))
        #expect(try fixture.drain().inserted == 10)
        try fixture.append(Fixture.batch(minutes: 10..<40))
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        #expect(error?.description.contains(words) == true, "\(error.map { "\($0)" } ?? "")")
        #expect(try fixture.count() == 10 && fixture.deadLetters().isEmpty)
        if mend.isEmpty { try fixture.migrate() } else { try fixture.sql(mend) }
        #expect(try fixture.drain().inserted == 30)
    }

    @Test func aRowThatAPartitionRefusesIsSetAside() throws {
        let fixture = try fixture(Self.byTime + Self.halves)
        try fixture.sql("ALTER TABLE late ADD CHECK (power < 1000); ALTER TABLE early ADD CHECK (power > -1000)")
        let odd = [Fixture.message(minute: 3, power: "-2000"), Fixture.message(minute: 33, power: "2000")]
        try fixture.append(Fixture.batch(minutes: 0..<3), Fixture.batch(odd[0], odd[1]), Fixture.batch(minutes: 4..<33))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.rejected) == (32, 2))
        #expect(try fixture.deadLetters().allSatisfy { $0.contains("\"sqlstate\":\"23514\"") })
    }

    @Test func aFailedIndexBuildOfAPartitionIsRepeated() throws {
        let fixture = try fixture(Self.byTime + Self.halves)
        try fixture.sql(
            """
            DROP INDEX late_idempotency_key_idx;
            INSERT INTO power_logs (timestamp, idempotency_key) SELECT '2025-11-23 12:31:00+00', 'twice' FROM generate_series(1, 2)
            """)
        let error = #expect(throws: LoaderError.self) { try fixture.migrate() }
        #expect(error?.description.contains("DELETE FROM") == true)
        #expect(
            try fixture.rows("SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = 'late'::regclass") == [
                "0"
            ])
        try fixture.sql("DELETE FROM power_logs")
        #expect(try fixture.migrate().contains { $0.hasPrefix("created the unique index of partition") })
    }

    /// Another writer's transaction has inserted the key, so the loader waits for it; then that transaction commits.
    @Test func aConcurrentInsertIntoAPartitionCountsAsADuplicate() throws {
        let fixture = try fixture(Self.byTime + Self.halves)
        try fixture.append(Fixture.batch(minutes: 0..<40))
        try fixture.sql(
            """
            BEGIN; INSERT INTO power_logs (device_id, power, timestamp, idempotency_key)
            SELECT 'rival', 1, to_timestamp((29398333 + m) * 60), 'plug_0_' || 29398333 + m FROM unnest(ARRAY[4, 30]) m
            """)
        let ended = DispatchSemaphore(value: 0)
        let inserted = Mutex(0)
        let drain = try drain(of: fixture)
        DispatchQueue(label: "drain").async {
            let report = DrainReport(logger: drain.logger)
            try? Fixture.untilConnected { try drain.run(report) }
            inserted.withLock { $0 = report.summary.inserted }
            ended.signal()
        }
        let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        while try fixture.connection.execute(waiting).count == 0 { usleep(10_000) }
        try fixture.sql("COMMIT")
        ended.wait()
        #expect(inserted.withLock { $0 } == 38)
        #expect(try fixture.rows("SELECT count(*), count(DISTINCT idempotency_key) FROM power_logs") == ["40 40"])
    }

    private func drain(of fixture: Fixture) throws -> Drain {
        Drain(
            path: fixture.path, database: try fixture.database, logger: .init(label: "test"),
            shutdown: ShutdownSignal())
    }

    /// A missing partition is created for rows of any time, although one long transaction reads the table and another
    /// writes to it.
    @Test func aMissingPartitionIsCreatedBesideOpenTransactions() throws {
        let fixture = try fixture(
            Self.byTime + "CREATE TABLE d PARTITION OF power_logs FOR VALUES FROM ('2025-11-23') TO ('2025-11-24')")
        let (reader, writer) = (try Fixture.connect(), try Fixture.connect())
        _ = try reader.execute("BEGIN; SELECT count(*) FROM \(fixture.table.quoted)")
        _ = try writer.execute(
            "BEGIN; INSERT INTO \(fixture.table.quoted) (device_id, timestamp) VALUES ('other', '2025-11-23 12:00:00+00')"
        )
        try fixture.append(
            Fixture.batch(minutes: 0..<10), Fixture.batch(minutes: 1440..<1450),
            Fixture.batch(minutes: 10_000..<10_010),
            #"{"messages":[{"src":"wrong","timestamp":1,"params":{"switch:0":{"apower":1}}}]}"#,
            receivedAt: Fixture.receivedAt + 7 * 86_400_000)
        #expect(try fixture.drain().inserted == 31)
        let now = Timestamp.now.day
        let ahead = (0...7).map { "power_logs_" + now.advanced(by: $0).description.filter { $0 != "-" } }
        #expect(
            try partitions(fixture) == ["d", "power_logs_20251124", "power_logs_20251130"] + ahead + [
                "power_logs_older"
            ])
        _ = try (reader.execute("COMMIT"), writer.execute("COMMIT"))
        #expect(try fixture.count() == 32)
    }

    /// Both loaders find that a partition is missing, and one of them creates it.
    @Test func twoLoadersCreateAPartitionOnce() throws {
        let fixture = try fixture(Self.byTime)
        try fixture.sql("BEGIN; LOCK TABLE power_logs IN SHARE UPDATE EXCLUSIVE MODE")
        let failures = Mutex<[String]>([])
        let ended = DispatchGroup()
        for _ in 0..<2 {
            let table = try fixture.table
            ended.enter()
            DispatchQueue(label: "upkeep").async {
                do {
                    try PartitionUpkeep(
                        table: table, connection: Fixture.connect(), report: { _ in }, lockTimeout: Fixture.hang
                    ).createAhead()
                } catch { failures.withLock { $0.append("\(error)") } }
                ended.leave()
            }
        }
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'power_logs'::regclass"
        while try fixture.rows(waiting) != ["2"] { usleep(10_000) }
        try fixture.sql("COMMIT")
        ended.wait()
        #expect(failures.withLock { $0 } == [])
        #expect(8...9 ~= (try partitions(fixture).count))
    }

    @Test func creatingPartitionsOfALockedTableTimesOut() throws {
        let fixture = try fixture(Self.byTime)
        try fixture.sql("BEGIN; LOCK TABLE power_logs IN SHARE UPDATE EXCLUSIVE MODE")
        let error = #expect(throws: PostgresError.self) { try upkeep(fixture, .milliseconds(50)).createAhead() }
        #expect(error?.isTemporary == true && error?.description.contains("another session locks the table") == true)
    }

    /// The role may insert and may not create partitions. The message has the statements for the owner.
    @Test func aMissingRightToCreatePartitionsIsNamed() throws {
        let fixture = try fixture(Self.byTime + Self.halves)
        let role = "role-" + fixture.schema
        try fixture.sql(
            """
            CREATE ROLE "\(role)"; GRANT USAGE ON SCHEMA "\(fixture.schema)" TO "\(role)";
            GRANT SELECT, INSERT ON power_logs TO "\(role)"; GRANT ALL ON spool_progress, spool_lease TO "\(role)";
            GRANT ALL ON ALL SEQUENCES IN SCHEMA "\(fixture.schema)" TO "\(role)"
            """)
        defer { _ = try? fixture.sql("DROP OWNED BY \"\(role)\"; DROP ROLE \"\(role)\"") }
        let options = "-c role=\(role)".utf8.map { "%" + String($0, radix: 16) }.joined()
        let url = Fixture.url + (Fixture.url.contains("?") ? "&" : "?") + "options=" + options
        let database = Database(conninfo: url, table: try fixture.table)
        try fixture.append(Fixture.batch(minutes: 0..<40))
        #expect(
            try fixture.drain { $0.database = database }.inserted == 40,
            "partitions that are there need no right of their own")
        let checks = PartitionCheck(try database.connect(), try fixture.table, retention: nil).results()
        #expect(checks.contains { $0.verdict == .fail && $0.finding.contains("the role may not create it") })
        try fixture.append(Fixture.batch(minutes: 1440..<1450))
        let error = #expect(throws: LoaderError.self) { try fixture.drain { $0.database = database } }
        let text = error?.description ?? ""
        #expect(text.contains("has no partition for 2025-11-24 12:13 UTC, and the role may not create it"), "\(text)")
        let start = try #require(text.firstRange(of: "as its owner: "))
        try fixture.sql(String(text[start.upperBound...]))
        #expect(try fixture.drain { $0.database = database }.inserted == 10)
    }

    /// A detachment that was not completed, as when its session was cancelled while it waited for readers.
    @Test func aPartitionBeingDetachedIsNamed() throws {
        let fixture = try fixture(Self.byTime + Self.halves)
        let (reader, other) = (try Fixture.connect(), try Fixture.connect())
        _ = try reader.execute("BEGIN; SELECT FROM \(fixture.table.quoted)")
        let pending = "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'late'::regclass AND inhdetachpending"
        var patience = 50
        while try fixture.rows(pending) == ["0"] {
            _ = try other.execute("SET statement_timeout TO \(patience)")
            _ = try? other.execute(
                "ALTER TABLE \(fixture.table.quoted) DETACH PARTITION \"\(fixture.schema)\".late CONCURRENTLY")
            patience *= 2
        }
        _ = try reader.execute("COMMIT")
        try fixture.append(Fixture.batch(minutes: 0..<10))
        #expect(try fixture.drain().inserted == 10)
        try fixture.append(Fixture.batch(minutes: 10..<40))
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        let text = error?.description ?? ""
        let checks = PartitionCheck(fixture.connection, try fixture.table, retention: nil).results()
        #expect(checks.contains { $0.verdict == .warn && $0.finding.contains("is being detached") })
        let start = try #require(text.firstRange(of: "ALTER TABLE"), "\(text)")
        try fixture.sql(String(text[start.lowerBound...]))
        // The table no longer has the partition's rows, so a new partition gets the readings.
        #expect(try fixture.drain().inserted == 30)
    }

    /// Partitions of 20 days with rows up to now. A reader delays the drop, and no row.
    @Test func rowsPastTheRetentionAreDropped() throws {
        let fixture = try Fixture(migrated: false)
        _ = try migrate(fixture, .day)
        let now = Timestamp.now.unixSeconds
        let messages = (0..<20).map { day in
            "{\"src\":\"plug\",\"timestamp\":\(now - Int64(day) * 86_400),\"params\":{\"switch:0\":{\"apower\":1}}}"
        }
        try fixture.append("{\"messages\":[\(messages.joined(separator: ","))]}", receivedAt: now * 1000)
        #expect(try fixture.drain { $0.rowRetention = nil }.inserted == 20)
        let reader = try Fixture.connect()
        _ = try reader.execute("BEGIN; SELECT FROM \(fixture.table.quoted)")
        let before = try partitions(fixture)
        #expect(throws: PostgresError.self) {
            try upkeep(fixture, .milliseconds(50)).drop(pastRetention: RowRetention(days: 5))
        }
        #expect(try partitions(fixture) == before)
        _ = try reader.execute("COMMIT")
        try fixture.append(Fixture.batch(minutes: 0..<1))
        // The partition for all older times expires too, with the reading that was just inserted.
        #expect(try fixture.drain { $0.rowRetention = RowRetention(days: 5) }.inserted == 1)
        let oldest = Timestamp(unixSeconds: now - 5 * 86_400).day.description.filter { $0 != "-" }
        #expect(try partitions(fixture).first == "power_logs_\(oldest)")
        #expect(try fixture.count() == 6)
        #expect(try verify(fixture, RowRetention(days: 5)) == [0, 15])
        // A row that is missing in an existing partition was not dropped with a partition.
        #expect(try fixture.sql("DELETE FROM power_logs WHERE \"timestamp\" < now() - interval '4 days'").affected > 0)
        #expect(try verify(fixture, RowRetention(days: 3)) == [2, 15])
        // A partition is created again for late readings.
        try fixture.append(Fixture.batch(minutes: 1..<3))
        #expect(try fixture.drain { $0.rowRetention = nil }.inserted == 2)
        // The new partition covers the times of dropped ones. Missing rows of these times still count as past the
        // retention.
        #expect(try verify(fixture, RowRetention(days: 5)) == [2, 15])
        try fixture.sql("DELETE FROM power_logs")
        #expect(try verify(fixture, RowRetention(days: 5)) == [6, 17])
        #expect(try verify(fixture, nil) == [23, 0])
    }

    /// The retention drops only partitions. So a plain table must have all rows, with any setting.
    @Test func aMissingRowOfAPlainTableIsNotPastTheRetention() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<10))
        #expect(try fixture.drain().inserted == 10)
        try fixture.sql("DELETE FROM power_logs WHERE id <= 3")
        #expect(try verify(fixture, RowRetention(days: 5)) == [3, 0])
    }

    /// The number of missing rows, and of rows past the retention.
    private func verify(_ fixture: Fixture, _ retention: RowRetention?) throws -> [Int?] {
        let report = VerificationReport { _ in }
        var verification = Verification(directory: fixture.directory)
        verification.reconciliation = try Reconciliation(
            try fixture.database, directory: fixture.directory, rowRetention: retention)
        try verification.run(report)
        return [report.summary.database?.missing, report.summary.database?.expired]
    }

    @Test func doctorReportsTheStateOfThePartitions() throws {
        let fixture = try Fixture(migrated: false)
        _ = try migrate(fixture, .week)
        func check(_ retention: RowRetention? = nil) throws -> [CheckResult] {
            PartitionCheck(fixture.connection, try fixture.table, retention: retention).results()
        }
        #expect(
            try check(RowRetention(days: 30)).map(\.finding).joined().contains("by week, rows expire after 30 days"))
        #expect(TableCheck(fixture.connection, try fixture.table).results().allSatisfy { $0.verdict == .ok })
        try fixture.sql("CREATE TABLE rest PARTITION OF power_logs DEFAULT")
        #expect(try check().contains { $0.verdict == .warn && $0.finding.contains("default partition") })
        #expect(
            TableCheck(fixture.connection, try fixture.table).results().contains {
                $0.verdict == .fail && $0.finding.contains("no unique index on idempotency_key in the partition")
            })
        let plain = try Fixture()
        let results = PartitionCheck(plain.connection, try plain.table, retention: RowRetention(days: 1)).results()
        #expect(results.contains { $0.verdict == .warn && $0.finding.contains("is not partitioned by time") })
    }
}

extension CalendarDay {
    fileprivate func advanced(by days: Int) -> CalendarDay { CalendarDay(number: number + Int64(days)) }
}
