import Postgres
import Testing

@Suite(.needsDatabase) struct QueueStatisticsTests {
    private static func withTable(timestamp: String = "timestamptz", _ body: (Connection) throws -> Void) throws {
        try TestDatabase.withSchema { connection in
            _ = try connection.execute(
                "CREATE TABLE power_logs (device_id text, \"timestamp\" \(timestamp), idempotency_key text)")
            try body(connection)
        }
    }

    @Test func emptyTableHasNoLastInsert() throws {
        try Self.withTable { connection in
            let statistics = try QueueStatistics.read(from: connection, timeout: TestDatabase.hang)
            #expect(statistics.totalLogs == 0 && statistics.fromQueue == 0 && statistics.devices == 0)
            #expect(statistics.lastInsert == nil && statistics.period == "24h")
        }
    }

    @Test(arguments: ["timestamptz", "timestamp", "timestamptz(0)"])
    func rowsOfTheLastDayAreCounted(timestamp: String) throws {
        try Self.withTable(timestamp: timestamp) { connection in
            _ = try connection.query(
                """
                INSERT INTO power_logs VALUES
                    ('a', now() - interval '25 hours', 'old'), ('old', now() - interval '3 days', NULL),
                    ('a', now() - interval '23 hours', 'k1'), ('a', now() - interval '1 hour', NULL),
                    ('b', date_trunc('second', now()) + interval '1 second', 'k2')
                """)
            let newest = try connection.query(
                "SELECT to_char(max(\"timestamp\"), 'YYYY-MM-DD\"T\"HH24:MI:SS') || '+00:00' FROM power_logs")[0, 0]
            let statistics = try QueueStatistics.read(from: connection, table: "power_logs", timeout: TestDatabase.hang)
            #expect(statistics.totalLogs == 3 && statistics.fromQueue == 2 && statistics.devices == 2)
            #expect(statistics.lastInsert == newest)
        }
    }

    @Test(arguments: ["timestamptz", "timestamp"])
    func fractionIsKept(timestamp: String) throws {
        try Self.withTable(timestamp: timestamp) { connection in
            _ = try connection.query(
                """
                INSERT INTO power_logs VALUES ('a', date_trunc('day', now()) + interval '1 day 1.25 seconds', NULL)
                """)
            let last = try #require(try QueueStatistics.read(from: connection, timeout: TestDatabase.hang).lastInsert)
            #expect(last.hasSuffix("T00:00:01.250000+00:00") && last.utf8.count == 32)
        }
    }

    @Test func missingTableIsRefused() throws {
        try TestDatabase.withSchema { connection in
            let error = try failure { _ = try QueueStatistics.read(from: connection, timeout: TestDatabase.hang) }
            #expect(error.sqlState == "42P01" && connection.isUsable)
        }
    }

    @Test func lockedTableIsTemporaryWithinTheTimeout() throws {
        try Self.withTable { holder in
            let reader = try TestDatabase.connect()
            let path = try holder.execute("SHOW search_path")[0, 0] ?? ""
            _ = try reader.execute("SET search_path TO \(path)")
            try holder.transaction {
                _ = try holder.execute("LOCK TABLE power_logs")
                // The holder releases its lock only after this call, so the timeout ends the wait. The connection's own
                // timeout is longer.
                let start = ContinuousClock.now
                let error = try failure { _ = try QueueStatistics.read(from: reader, timeout: .milliseconds(300)) }
                #expect(error.isTemporary && start.duration(to: .now) < TestDatabase.hang)
            }
        }
    }

    @Test func statementTimeoutIsRestoredAfterTheQuery() throws {
        try Self.withTable { connection in
            let before = try connection.execute("SHOW statement_timeout")[0, 0]
            _ = try QueueStatistics.read(from: connection, timeout: TestDatabase.hang + .milliseconds(1234))
            #expect(try connection.execute("SHOW statement_timeout")[0, 0] == before)
        }
    }
}
