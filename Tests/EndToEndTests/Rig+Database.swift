import Postgres
import Testing

/// Helpers for tests of the loader with a failing database.
extension Rig {
    /// Expects each reading exactly once, and a progress that agrees with the rows (invariants 2, 6 and 8).
    func expectExactly(readings: Int, _ when: Comment? = nil) throws {
        let rows = try query("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs")
        #expect(rows == "\(readings) \(readings)", when)
        let progress = try query(
            "SELECT sum(inserted) || ' ' || sum(readings - inserted - duplicates - rejected) FROM spool_progress")
        #expect(progress == "\(readings) 0", when)
        let verified = try load("verify", "--database")
        #expect(verified.status == 0, "\(when?.rawValue ?? ""): \(verified.text)")
    }

    /// Drains, expects a failure, and returns the line with its reason.
    func failToDrain(status: Int32, _ environment: [String: String] = [:]) throws -> String {
        let output = try load("drain", "--json", environment: environment)
        // A run that has loaded records also prints its summary on standard output.
        let lines = output.text.split(separator: "\n").filter { !$0.hasPrefix("{") }
        #expect(output.status == status && lines.count == 1, "\(output.text)")
        let reason = lines.last.map(String.init) ?? ""
        #expect(reason.hasPrefix("shelly-loader: "))
        return reason
    }

    /// Starts a drain that has inserted rows and waits for a lock to write its progress. It stays in the middle of its
    /// transaction as long as the connection that `fault` gets holds that lock.
    func withDrainInMidTransaction(
        follow: Bool = false, environment: [String: String] = [:], _ fault: (Connection) throws -> Void
    ) throws {
        let holder = try connect()
        _ = try holder.execute("BEGIN; LOCK TABLE spool_progress IN SHARE MODE")
        if follow { try startLoader("drain", "--follow", environment: environment) }
        try wait("the loader does not wait within a transaction") {
            // A loader that timed out while it connected has ended, so another one is started.
            if !follow, !isLoaderRunning { try startLoader("drain", environment: environment) }
            return try query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                    AND query LIKE '%spool_progress%' AND pid <> pg_backend_pid()
                """) == "1"
        }
        // The transaction has inserted rows, and they are not visible yet.
        #expect(try query("SELECT count(*) FROM power_logs") == "0")
        try fault(holder)
    }

    /// Waits until the server has ended the sessions of loaders that have ended, and released their locks.
    func awaitEndOfLoaderSessions() throws {
        try wait("a session outlives its loader") {
            try query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'shelly-loader'
                """) == "0"
        }
    }
}
