import Dispatch
import Glibc
import Logging
import Postgres
import Spool
import Synchronization
import Testing

@testable import Loader

/// Other transactions, constraints and triggers interfere with the loader, and it continues (invariants 2, 6 and 8).
@Suite(.enabled(if: Fixture.isAvailable))
struct InterferenceTests {
    private let fixture: Fixture

    init() throws {
        fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<10))
        fixture.seal()
    }

    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A drain of the fixture's spool, with these settings in its session.
    private func draining(_ options: String = "") throws -> Drain {
        let encoded = options.utf8.map { "%" + String($0, radix: 16) }.joined()
        let conninfo = Fixture.url + (Fixture.url.contains("?") ? "&" : "?") + "options=" + encoded
        return Drain(
            path: fixture.path, database: Database(conninfo: conninfo, table: try fixture.table), logger: Self.logger,
            shutdown: ShutdownSignal())
    }

    /// A drain on a thread of its own. The tests do not suspend, because another test would then take their thread
    /// while they have transactions open, and the server ends those after a timeout.
    private final class Running: Sendable {
        private let ended = DispatchSemaphore(value: 0)
        private let result = Mutex<Result<DrainReport.Summary, any Error>?>(nil)

        init(_ drain: Drain) {
            DispatchQueue(label: "drain").async { [self] in
                let report = DrainReport(logger: drain.logger)
                let outcome = Result {
                    try Fixture.untilConnected { try drain.run(report) }
                    return report.summary
                }
                result.withLock { $0 = outcome }
                ended.signal()
            }
        }

        func summary() throws -> DrainReport.Summary {
            ended.wait()
            return try result.withLock { try $0!.get() }
        }
    }

    /// Returns once the loader waits for a lock of the connection, by default the fixture's.
    private func awaitWaitingLoader(for connection: Connection? = nil) throws {
        // Not pg_stat_activity: within a transaction its content does not change.
        try awaitRow(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))",
            on: connection ?? fixture.connection)
    }

    private func awaitRow(_ query: String, on connection: Connection) throws {
        let deadline = ContinuousClock.now + Fixture.hang
        while try connection.execute(query).count == 0 {
            try #require(ContinuousClock.now < deadline, "no row: \(query)")
            usleep(10_000)
        }
    }

    private func insertAsAnother(_ minute: Int) throws { try fixture.sql(Self.insertion(minute)) }

    private static func insertion(_ minute: Int) -> String {
        "INSERT INTO power_logs (device_id, idempotency_key) VALUES ('rival', 'plug_0_\(29_398_333 + minute)')"
    }

    @Test(arguments: ["repeatable read", "serializable"])
    func aTransactionIsRunAgainAfterASerializationFailure(isolation: String) throws {
        let level = isolation.replacing(" ", with: "\\ ")
        let drain = try draining("-c default_transaction_isolation=\(level)")
        try fixture.sql("BEGIN")
        try insertAsAnother(4)
        let drained = Running(drain)
        try awaitWaitingLoader()
        // The loader's snapshot is older than this commit, so its statement fails with 40001.
        try fixture.sql("COMMIT")
        let summary = try drained.summary()
        #expect((summary.inserted, summary.duplicates, summary.problems) == (9, 1, 0))
        #expect(try fixture.count("device_id = 'rival'") == 1 && fixture.count() == 10)
        #expect(try fixture.progress() == ["1 10 9 1 0 t"])
    }

    /// `COPY` waits for the other transaction's key. It fails if that commits, and succeeds if it rolls back.
    @Test(arguments: [true, false], ["read committed", "repeatable read"])
    func aCopyWaitsForTheKeyOfAnotherTransaction(isKept: Bool, isolation: String) throws {
        for first in stride(from: 10, to: 2010, by: 500) {
            try fixture.append(
                Fixture.batch(minutes: first..<(first + 500)), receivedAt: Fixture.receivedAt + 10 * 86_400_000)
        }
        let level = isolation.replacing(" ", with: "\\ ")
        let drain = try draining("-c default_transaction_isolation=\(level)")
        try fixture.sql("BEGIN")
        try insertAsAnother(2009)
        let drained = Running(drain)
        try awaitWaitingLoader()
        let waiting = try fixture.rows(
            """
            SELECT query FROM pg_stat_activity
            WHERE pid IN (SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
            """)
        #expect(waiting.count == 1 && waiting[0].hasPrefix("COPY"), "\(waiting)")
        try fixture.sql(isKept ? "COMMIT" : "ROLLBACK")
        let summary = try drained.summary()
        #expect((summary.inserted, summary.duplicates, summary.problems) == (isKept ? 2009 : 2010, isKept ? 1 : 0, 0))
        #expect(summary.conflicts == summary.duplicates)
        #expect(try fixture.rows("SELECT count(*), count(DISTINCT idempotency_key) FROM power_logs") == ["2010 2010"])
        // A COPY that succeeded has left no gap in the ids, a failed one has.
        let gap = try fixture.rows("SELECT max(id) - min(id) + 1 - count(*) FROM power_logs WHERE device_id = 'plug'")
        #expect((gap == ["0"]) == !isKept, "\(gap)")
    }

    @Test func aTransactionIsRunAgainAfterADeadlock() throws {
        // PostgreSQL cancels the session that checks for the deadlock first. To be that one, the loader must wait last
        // and have the shorter deadlock_timeout. So a trigger and the gatekeeper's lock hold the loader after its rows,
        // until the fixture waits for these rows.
        let lock = Int64.random(in: 0 ... .max)
        try fixture.sql(
            """
            CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(\(lock)); RETURN NULL; END $$;
            CREATE TRIGGER hold AFTER INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION hold()
            """)
        let gatekeeper = try Fixture.connect()
        _ = try gatekeeper.execute("SELECT pg_advisory_lock(\(lock))")
        let before = try deadlocks()
        try fixture.sql("SET deadlock_timeout TO '1h'; BEGIN; LOCK TABLE spool_progress IN SHARE MODE")
        let drained = Running(try draining("-c deadlock_timeout=100ms"))
        try awaitWaitingLoader(for: gatekeeper)
        let fixtureWaits = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = \(fixture.connection.processID)"
        _ = try fixture.connection.execute(Self.insertion(4), []) {
            #expect(throws: Never.self) {
                try awaitRow(fixtureWaits, on: gatekeeper)
                _ = try gatekeeper.execute("SELECT pg_advisory_unlock(\(lock))")
            }
            return false
        }
        try fixture.sql("COMMIT")
        let summary = try drained.summary()
        #expect((summary.inserted, summary.duplicates, summary.problems) == (9, 1, 0))
        #expect(try fixture.count() == 10)
        #expect(try fixture.progress() == ["1 10 9 1 0 t"])
        // A back end reports its deadlocks when it is next idle or ends.
        let deadline = ContinuousClock.now + Fixture.hang
        while try deadlocks() == before, .now < deadline { usleep(10_000) }
        #expect(try deadlocks() > before)
    }

    private func deadlocks() throws -> Int {
        let rows = try fixture.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return Int(rows[0]) ?? 0
    }

    /// Constraints of all kinds. Each refuses only the reading with power 1000.
    @Test(arguments: [
        (
            "P0001",
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.power >= 1000 THEN RAISE 'too much'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON power_logs FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        ),
        (
            // A deferred constraint: it is checked at COMMIT, unless the session sets it to immediate.
            "P0001",
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.power >= 1000 THEN RAISE 'too much'; END IF; RETURN NEW; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON power_logs DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        ),
        (
            "23503",
            """
            CREATE TABLE known (power double precision PRIMARY KEY); INSERT INTO known VALUES (1.5);
            ALTER TABLE power_logs ADD FOREIGN KEY (power) REFERENCES known DEFERRABLE INITIALLY DEFERRED
            """
        ),
        ("23514", "ALTER TABLE power_logs ADD CHECK (power < 1000)"),
        (
            "23505",
            """
            INSERT INTO power_logs (device_id, power) VALUES ('other', 1000);
            CREATE UNIQUE INDEX ON power_logs (power) WHERE power >= 1000
            """
        ),
    ])
    func aRefusedRowDelaysNoOther(sqlState: String, constraint: String) throws {
        try fixture.sql(constraint)
        try fixture.append(Fixture.batch(Fixture.message("big", power: "1000")), Fixture.batch(minutes: 10..<20))
        fixture.seal()
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.rejected, summary.duplicates, summary.problems) == (20, 1, 0, 0))
        #expect(try fixture.progress() == ["1 10 10 0 0 t", "2 11 10 0 1 t"])
        let letters = try fixture.deadLetters()
        #expect(letters.count == 1 && letters.allSatisfy { $0.contains("\"sqlstate\":\"\(sqlState)\"") })
        #expect(try fixture.count("device_id = 'plug'") == 20)
    }

    /// Invariant 6: pruning uses the progress that the database has now, not the progress at the time of connecting.
    @Test func segmentsAreKeptIfTheDatabaseLosesThemDuringASession() throws {
        try fixture.append(Fixture.batch(minutes: 10..<20))
        fixture.seal()
        #expect(try fixture.drain().inserted == 20)
        var drain = try draining()
        drain.retention = Retention(age: .zero, bytes: 0)
        let session = try Fixture.untilConnected {
            try DrainSession(
                drain, directory: fixture.directory, report: DrainReport(logger: Self.logger), lockTimeout: .zero)
        }
        try fixture.sql("DELETE FROM power_logs; DELETE FROM spool_progress")
        try session.pass()
        #expect(try fixture.directory.segments().map(\.number) == [1, 2])
    }

    /// Invariant 6: progress without its rows would keep the loader from inserting them again, so `migrate` removes it.
    @Test func aRecreatedTableIsRefilled() throws {
        _ = try fixture.drain()
        try fixture.sql("DROP TABLE power_logs")
        #expect(try fixture.migrate().contains { $0.hasPrefix("removed the progress of 1 segment,") })
        #expect(try fixture.drain().inserted == 10)
    }
}
