import Postgres
import Testing

@Suite(.needsDatabase) struct LostConnectionTests {
    @Test func aTimedOutStatementIsUnavailableAndClosesTheConnection() throws {
        let connection = try TestDatabase.connect()
        let process = connection.processID
        // Outside of a transaction the server continues the statement, and index builds of other tests would wait for
        // its end.
        defer { _ = try? TestDatabase.connect().execute("SELECT pg_terminate_backend(\(process))") }
        let clock = ContinuousClock()
        let start = clock.now
        let error = try failure { _ = try connection.execute("SELECT pg_sleep(3600)", timeout: .milliseconds(300)) }
        let elapsed = start.duration(to: clock.now)
        #expect(error.isUnavailable && error.description.contains("timeout"))
        // The connection's own timeout is longer.
        #expect(elapsed >= .milliseconds(300) && elapsed < TestDatabase.hang)
        #expect(!connection.isUsable && connection.processID == 0)
        #expect(try failure { _ = try connection.execute("SELECT 1") }.isUnavailable)
        #expect(try failure { try connection.transaction {} }.isUnavailable)
    }

    @Test func serverEndsAStatementWhoseClientHasTimedOut() throws {
        let connection = try TestDatabase.connect()
        guard connection.serverVersion >= 140_000 else { return }
        let process = Int64(connection.processID)
        // The server's statement_timeout is longer than `awaitEnd` waits, so it does not end the statement in time.
        let error = try failure { _ = try connection.query("SELECT pg_sleep(3600)", timeout: .milliseconds(100)) }
        #expect(error.isUnavailable)
        #expect(try TestDatabase.awaitEnd(of: process))
    }

    @Test func serverEndsATransactionWithAnIdleClient() throws {
        let connection = try TestDatabase.connect(timeout: .seconds(5))
        let hang = TestDatabase.hang
        let process = Int64(connection.processID)
        let error = try failure {
            try connection.transaction {
                #expect(try connection.execute("SHOW statement_timeout", timeout: hang)[0, 0] == "6s")
                #expect(try connection.execute("SHOW tcp_keepalives_idle", timeout: hang)[0, 0] == "30")
                // The client sends nothing more. The server waits no longer than it would for a statement.
                #expect(try TestDatabase.awaitEnd(of: process))
                _ = try connection.execute("SELECT 1")
            }
        }
        #expect(error.isUnavailable)
    }

    /// A pooler gives the session to another client after a transaction.
    @Test func noSettingStaysInTheSession() throws {
        let connection = try TestDatabase.connect()
        let settings = """
            SELECT name, setting FROM pg_settings
            WHERE source = 'session' AND name NOT IN ('client_encoding', 'application_name')
            """
        func expectNone() throws { #expect(try connection.execute(settings).count == 0) }
        try expectNone()
        let count = try connection.transaction { try connection.execute(settings).count }
        #expect(count > 3)
        try expectNone()
        _ = try? connection.transaction { _ = try connection.execute("SELECT 1/0") }
        try expectNone()
        _ = try connection.query("SELECT 1")
        try expectNone()
    }

    @Test func terminatedBackEndIsUnavailableOnTheNextCall() throws {
        let connection = try TestDatabase.connect()
        try TestDatabase.terminate(connection.processID)
        let error = try failure { _ = try connection.execute("SELECT 1") }
        #expect(error.isUnavailable && error.isTemporary && !connection.isUsable)
    }

    @Test func backEndTerminatedDuringAStatementIsUnavailableWithTheReason() throws {
        let connection = try TestDatabase.connect()
        let error = try failure { _ = try connection.execute("SELECT pg_terminate_backend(pg_backend_pid())") }
        #expect(error.isUnavailable && error.description.contains("administrator command") && !connection.isUsable)
    }

    @Test func backEndTerminatedWithinATransactionIsUnavailableAndNothingIsCommitted() throws {
        try TestDatabase.withSchema { other in
            _ = try other.execute("CREATE TABLE t (i int)")
            let connection = try TestDatabase.connect()
            let path = try #require(try other.execute("SHOW search_path")[0, 0])
            let error = try failure {
                try connection.transaction {
                    _ = try connection.execute("SET search_path TO \(path)")
                    _ = try connection.execute("INSERT INTO t VALUES (1)")
                    try TestDatabase.terminate(connection.processID)
                    _ = try connection.execute("INSERT INTO t VALUES (2)")
                }
            }
            #expect(error.isUnavailable && !connection.isInTransaction)
            #expect(try other.execute("SELECT count(*) FROM t").integer(0, 0) == 0)
        }
    }

    @Test func backEndTerminatedBeforeCommitLeavesTheOutcomeUnknown() throws {
        let connection = try TestDatabase.connect()
        let error = try failure {
            try connection.transaction {
                _ = try connection.execute("SELECT 1")
                try TestDatabase.terminate(connection.processID)
            }
        }
        #expect(error.isOutcomeUnknown && error.isTemporary && !connection.isUsable)
    }

    @Test func sendingMegabytesToATerminatedBackEndIsUnavailable() throws {
        let connection = try TestDatabase.connect()
        try TestDatabase.terminate(connection.processID)
        let text = String(repeating: "x", count: 20_000_000)
        #expect(try failure { _ = try connection.execute("SELECT length($1)", [.text(text)]) }.isUnavailable)
    }
}
