import Dispatch
import FoundationEssentials
import Logging
import Postgres
import Spool
import Testing

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct DrainTests {
    @Test func readingsBecomeRowsOnce() throws {
        let fixture = try Fixture()
        try fixture.append(
            Fixture.batch(Fixture.message(), Fixture.message("pró ☀", minute: 1, channel: 3, power: "-2")))
        fixture.seal()
        let summary = try fixture.drain()
        #expect((summary.segments, summary.records, summary.readings) == (1, 1, 2))
        #expect((summary.inserted, summary.duplicates, summary.rejected) == (2, 0, 0))
        #expect(
            try fixture.rows(
                "SELECT device_id, channel, power, voltage, current, timestamp, idempotency_key FROM power_logs ORDER BY timestamp"
            )
                == [
                    "plug 0 1.5 230.5 null 2025-11-23 12:13:00+00 plug_0_29398333",
                    "pró ☀ 3 -2 230.5 null 2025-11-23 12:14:00+00 pró ☀_3_29398334",
                ])
        #expect(try fixture.directory.segments().allSatisfy(\.isLoaded))
        #expect(try fixture.drain().records == 0)
        #expect(fixture.directory.loadMark()?.segment == 1)
    }

    @Test func aDrainWithNothingToLoadSucceeds() throws {
        let fixture = try Fixture()
        #expect(fixture.directory.drainMark() == nil)
        _ = try fixture.drain()
        let first = try #require(fixture.directory.drainMark()?.drainedAt)
        #expect(fixture.directory.loadMark() == nil)
        try fixture.append(Fixture.batch(minutes: 0..<1))
        _ = try fixture.drain()
        #expect(try #require(fixture.directory.drainMark()?.drainedAt) > first)
    }

    /// A segment that is opened would be reported here, because its bytes are those of another spool.
    @Test func loadedSegmentsAreNotOpenedWhileTheirProgressIsUnchanged() throws {
        let fixture = try Fixture()
        for minute in 0..<3 {
            try fixture.append(Fixture.batch(minutes: minute..<minute + 1))
            fixture.seal()
        }
        #expect(try fixture.drain().inserted == 3)
        let whole = try fixture.bytes(2)
        let header = String(decoding: whole, as: UTF8.self).replacing(
            fixture.directory.identity, with: SpoolDirectory.noIdentity)
        try fixture.overwrite(2, header.utf8)
        #expect(try fixture.drain().isEmpty)
        // The segments stay closed when there is something to load, and in the run after that.
        try fixture.append(Fixture.batch(minutes: 3..<4))
        fixture.seal()
        #expect(try fixture.drain().inserted == 1)
        #expect(try fixture.drain().isEmpty)
        // A lost load mark is written again, from all segments.
        try FileManager.default.removeItem(atPath: fixture.path.appending("loaded.json").string)
        #expect(try fixture.drain().problems == 1)
        try fixture.overwrite(2, whole)
        try FileManager.default.removeItem(atPath: fixture.path.appending("loaded.json").string)
        #expect(try fixture.drain().isEmpty)
        #expect(fixture.directory.loadMark()?.segment == 4)
        #expect(fixture.directory.drainMark()?.settled?.segments == SegmentNumbers([1, 2, 3, 4]))

        try fixture.overwrite(2, header.utf8)
        let removing = try fixture.drain { $0.retention = Retention(age: .seconds(1_000_000), bytes: 0) }
        #expect(removing.problems == 0)
        #expect(try fixture.directory.segments().map(\.number) == [2, 4])
    }

    /// Invariant 6, with progress that is missing, older or of another segment.
    @Test(arguments: [
        "DELETE FROM spool_progress WHERE segment = 2", "UPDATE spool_progress SET created = 'then' WHERE segment = 2",
        """
        UPDATE spool_progress SET bytes = 0, records = 0, readings = 0, inserted = 0, finished = false WHERE segment = 2
        """,
    ])
    func loadedSegmentsAreOpenedWhenTheirProgressHasChanged(change: String) throws {
        let fixture = try Fixture()
        for minute in 0..<3 {
            try fixture.append(Fixture.batch(minutes: minute..<minute + 1))
            fixture.seal()
        }
        #expect(try fixture.drain().inserted == 3)
        #expect(try fixture.drain().isEmpty)
        try fixture.sql("DELETE FROM power_logs WHERE idempotency_key = 'plug_0_29398334'; \(change)")
        #expect(try fixture.drain().inserted == 1)
        #expect(try fixture.count() == 3)
    }

    @Test func aDrainThatSkipsASegmentDoesNotCountAsSuccessful() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        fixture.seal()
        let whole = try fixture.bytes(1)
        let header = String(decoding: whole, as: UTF8.self).replacing(
            fixture.directory.identity, with: SpoolDirectory.noIdentity)
        try fixture.overwrite(1, header.utf8)
        #expect(try fixture.drain().problems == 1)
        #expect(fixture.directory.drainMark() == nil)
        try fixture.overwrite(1, whole)
        #expect(try fixture.drain().inserted == 1)
        #expect(fixture.directory.drainMark() != nil)
    }

    /// Invariant 8, and the order of records: the first one with a key is kept.
    @Test(arguments: [1, 2, 7, 50_000])
    func theFirstRecordOfAMinuteIsKept(statementRows: Int) throws {
        let fixture = try Fixture()
        try fixture.append(
            Fixture.batch(minutes: 0..<10, power: "1"), Fixture.batch(minutes: 5..<15, power: "2"),
            Fixture.batch(minutes: 0..<3, power: "3"))
        fixture.seal()
        try fixture.append(Fixture.batch(minutes: 14..<20, power: "4"))
        fixture.seal()
        let summary = try fixture.drain { $0.statementRows = statementRows }
        #expect((summary.readings, summary.inserted, summary.duplicates, summary.rejected) == (29, 20, 9, 0))
        #expect(try fixture.progress() == ["1 23 15 8 0 t", "2 6 5 1 0 t"])
        #expect(
            try fixture.rows("SELECT power, count(*) FROM power_logs GROUP BY 1 ORDER BY 1") == ["1 10", "2 5", "4 5"])
    }

    /// Duplicates whose values differ from the row in the table are counted separately, for all types of columns.
    @Test(arguments: [("double precision", "timestamptz"), ("real", "timestamp"), ("numeric(8,1)", "timestamptz")])
    func otherValuesForTheSameKeyAreConflicts(number: String, time: String) throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ALTER power TYPE \(number), ALTER timestamp TYPE \(time)")
        try fixture.append(Fixture.batch(minutes: 0..<10, power: "8.9"))
        let first = try fixture.drain()
        #expect((first.inserted, first.duplicates, first.conflicts) == (10, 0, 0))
        try fixture.append(Fixture.batch(minutes: 0..<5, power: "8.9"), Fixture.batch(minutes: 3..<12, power: "9"))
        try fixture.append(Fixture.batch(minutes: 11..<12, power: "9"), Fixture.batch(minutes: 11..<12, power: "10"))
        let second = try fixture.drain()
        #expect((second.inserted, second.duplicates, second.conflicts) == (2, 14, 8))
        #expect(try fixture.rows("SELECT duplicates, conflicts FROM spool_progress") == ["14 8"])
    }

    @Test func rowsOfOtherWritersAreNotChanged() throws {
        let fixture = try Fixture()
        try fixture.sql(
            "INSERT INTO power_logs (device_id, power, idempotency_key) VALUES ('plug', 99, 'plug_0_29398333'), ('x', 1, null)"
        )
        try fixture.append(Fixture.batch(minutes: 0..<2))
        #expect(try fixture.drain().duplicates == 1)
        #expect(try fixture.rows("SELECT power FROM power_logs WHERE idempotency_key = 'plug_0_29398333'") == ["99"])
        #expect(try fixture.count() == 3)
    }

    @Test(arguments: ["real", "numeric(10,2)"], ["timestamp", "timestamptz"])
    func columnsOfOtherTypesAreFilled(number: String, time: String) throws {
        let fixture = try Fixture(migrated: false)
        try fixture.sql(
            """
            CREATE TABLE power_logs(id serial primary key, device_id varchar(64), channel smallint, power \(number),
                voltage \(number), current \(number), timestamp \(time), idempotency_key varchar(200))
            """)
        try fixture.migrate()
        try fixture.append(Fixture.batch(Fixture.message(power: "1.25")))
        #expect(try fixture.drain().inserted == 1)
        #expect(
            try fixture.rows("SELECT power::text, channel, timestamp::timestamp FROM power_logs")
                == ["1.25 0 2025-11-23 12:13:00"])
    }

    @Test func theLiveSegmentIsLoadedUpToItsPresentEnd() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<3))
        #expect(try fixture.drain().inserted == 3)
        #expect(try fixture.progress() == ["1 3 3 0 0 f"])
        try fixture.append(Fixture.batch(minutes: 3..<5))
        #expect(try fixture.drain().inserted == 2)
        fixture.seal()
        #expect(try fixture.drain().segments == 1)
        #expect(try fixture.progress() == ["1 5 5 0 0 t"])
        #expect(try fixture.segment(1).isLoaded)
    }

    /// Invariant 6: progress is committed with the rows. The move of the segment only follows it.
    @Test func aCrashBetweenCommitAndMoveLeavesOnlyTheMove() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<3))
        fixture.seal()
        _ = try fixture.drain()
        try SystemDisk().rename(
            fixture.directory.loaded.appending("00000001.spool"),
            to: fixture.directory.pending.appending("00000001.spool"))
        let summary = try fixture.drain()
        #expect((summary.records, summary.problems) == (0, 0))
        #expect(try fixture.segment(1).isLoaded)
    }

    /// Invariant 6: a restored database is refilled.
    @Test func anEmptiedDatabaseIsRefilledFromLoadedSegments() throws {
        let fixture = try Fixture()
        for minute in 0..<3 {
            try fixture.append(Fixture.batch(minutes: minute..<(minute + 1)))
            fixture.seal()
        }
        #expect(try fixture.drain().inserted == 3)
        try fixture.sql("DELETE FROM spool_progress WHERE segment > 1; DELETE FROM power_logs")
        let summary = try fixture.drain()
        #expect((summary.segments, summary.inserted) == (2, 2))
        #expect(try fixture.directory.segments().allSatisfy(\.isLoaded))
    }

    @Test func aSegmentWithAReusedNumberIsLoaded() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        fixture.seal()
        _ = try fixture.drain()
        try fixture.sql("UPDATE spool_progress SET created = '2020-01-01T00:00:00.000Z'; DELETE FROM power_logs")
        #expect(try fixture.drain().inserted == 1)
        #expect(try fixture.progress().count == 2)
    }

    @Test func aSegmentOfAnotherSpoolIsReportedAndNotLoaded() throws {
        let fixture = try Fixture()
        let other = try Fixture()
        for (number, minutes) in [(1, 0..<1), (2, 1..<2)] {
            try other.append(Fixture.batch(minutes: minutes))
            other.seal()
            if number == 1 { try fixture.append(Fixture.batch(minutes: 7..<8)) }
        }
        try SystemDisk().rename(
            try other.segment(2).path, to: fixture.directory.pending.appending("00000002.spool"))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.problems) == (1, 1))
        #expect(try fixture.segment(2).isLoaded == false)
    }

    /// Invariant 10.
    @Test func aSecondLoaderIsRefused() throws {
        let fixture = try Fixture()
        let lock = try SpoolLock(.loader, of: fixture.path)
        let error = #expect(throws: SpoolError.self) { try fixture.drain() }
        #expect(error?.description.contains(fixture.path.string) == true)
        withExtendedLifetime(lock) {}
    }

    /// Invariant 10, for copies of a spool, whose lock files are independent.
    @Test func aLoaderOfACopyOfTheSpoolIsRefused() throws {
        let fixture = try Fixture()
        let identity = fixture.directory.identity
        try fixture.sql("SELECT pg_advisory_lock(hashtextextended('\(identity)', 0))")
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        #expect(error?.description.contains(identity) == true)
        try fixture.sql("SELECT pg_advisory_unlock_all()")
        #expect(try fixture.drain().problems == 0)
    }

    /// The same while that loader has no transaction open. The lease of a loader that has ended expires.
    @Test func aLeaseOfAnotherHolderIsRespectedUntilItExpires() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        let identity = fixture.directory.identity
        try fixture.sql("INSERT INTO spool_lease VALUES ('\(identity)', 'elsewhere:/spool', now())")
        let error = #expect(throws: LoaderError.self) { try fixture.drain() }
        #expect(error?.description.contains(identity) == true)
        #expect(try fixture.count() == 0)
        try fixture.sql("UPDATE spool_lease SET renewed_at = now() - interval '31 s'")
        #expect(try fixture.drain().inserted == 1)
        #expect(try fixture.rows("SELECT holder FROM spool_lease").isEmpty)
        // A loader of the same directory was killed.
        let own = SpoolLease(of: fixture.directory, beside: try fixture.table).holder
        try fixture.sql("INSERT INTO spool_lease VALUES ('\(identity)', '\(own)', now())")
        #expect(try fixture.drain().problems == 0)
    }

    /// Invariant 6: progress is compared when it is written, so the loader overwrites neither another loader's progress
    /// nor that of a restored database.
    @Test(arguments: ["UPDATE spool_progress SET bytes = bytes + 1", "DELETE FROM spool_progress"])
    func concurrentlyChangedProgressIsNotOverwritten(change: String) throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let drain = Drain(
            path: fixture.path, database: try fixture.database, logger: logger, shutdown: ShutdownSignal())
        let session = try Fixture.untilConnected {
            try DrainSession(
                drain, directory: fixture.directory, report: DrainReport(logger: logger), lockTimeout: .zero)
        }
        try session.pass()
        try fixture.sql(change)
        let before = try fixture.progress()
        try fixture.append(Fixture.batch(minutes: 1..<2))
        let error = #expect(throws: LoaderError.self) { try session.pass() }
        #expect(error?.description.contains("has changed in the database meanwhile") == true)
        #expect(try fixture.count() == 1 && fixture.progress() == before)
    }

    @Test(arguments: [
        "DROP INDEX idx_power_logs_idempotency", "DROP TABLE power_logs", "DROP TABLE spool_progress",
        "ALTER TABLE power_logs DROP COLUMN idempotency_key",
    ])
    func anErrorThatMigrateRepairsNeedsMigration(damage: String) throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        try fixture.sql(damage)
        let error = #expect(throws: PostgresError.self) { try fixture.drain() }
        #expect(error?.needsMigration == true)
        try fixture.migrate()
        #expect(try fixture.drain().inserted == 1)
    }

    /// Invariant 2, with the connection lost in between.
    @Test func followingLoadsNewRecordsUntilTheShutdown() async throws {
        let fixture = try Fixture()
        let shutdown = ShutdownSignal()
        let drain = Drain(
            path: fixture.path, database: try fixture.markedDatabase, followPause: .milliseconds(10),
            lockTimeout: .zero,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, shutdown: shutdown)
        // The lease of a loader that was killed in another container.
        try fixture.sql(
            """
            INSERT INTO spool_lease VALUES
                ('\(fixture.directory.identity)', 'elsewhere:/spool', clock_timestamp() - interval '29 s')
            """)
        async let ended: Void = withCheckedThrowingContinuation { continuation in
            // A thread that may block, unlike those of the cooperative pool.
            DispatchQueue.global().async {
                continuation.resume(with: Result { try drain.follow(DrainReport(logger: drain.logger)) })
            }
        }
        for minute in 0..<4 {
            try fixture.append(Fixture.batch(minutes: minute..<(minute + 1)))
            if minute == 1 { fixture.seal() }
            if minute == 2 { #expect(try fixture.endLoaderSession() == 1) }
            let deadline = ContinuousClock.now + Fixture.hang
            while try fixture.count() <= minute, .now < deadline { await Task.yield() }
            #expect(try fixture.count() == minute + 1)
        }
        shutdown.request()
        try await ended
        #expect(try fixture.progress() == ["1 2 2 0 0 t", "2 2 2 0 0 f"])
    }
}
