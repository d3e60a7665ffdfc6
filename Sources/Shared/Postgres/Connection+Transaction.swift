extension Connection {
    /// Runs `body` between BEGIN and COMMIT, and rolls back if it throws.
    ///
    /// The time zone is UTC. The server ends a statement one second after our own deadline, an idle transaction after
    /// the same time, and a silent TCP connection after one minute, so that a frozen client or a dead network leaves
    /// nothing open, including locks. These settings end with the transaction.
    ///
    /// Throws `outcomeUnknown` if the connection is lost or times out during COMMIT. If the server has aborted the
    /// transaction, it throws 25P02 rather than report a commit, even if `body` suppresses the error.
    public func transaction<T>(_ body: () throws -> T) throws -> T {
        guard !isInTransaction else { throw PostgresError.invalid("a transaction cannot begin within another") }
        try begin()
        let result: T
        do {
            result = try body()
        } catch {
            rollBack()
            throw error
        }
        try commit()
        return result
    }

    /// Runs one statement in the open transaction, or in one of its own with the settings of `transaction`.
    public func query(
        _ sql: String, _ parameters: [Parameter] = [], timeout: Duration? = nil
    ) throws(PostgresError) -> Rows {
        if isInTransaction { return try execute(sql, parameters, timeout: timeout) }
        try begin()
        let rows: Rows
        do throws(PostgresError) {
            rows = try execute(sql, parameters, timeout: timeout)
        } catch {
            rollBack()
            throw error
        }
        try commit()
        return rows
    }

    /// Whether a pooler stands between us and the server. Then libpq has another process ID than that of the server
    /// process that runs the statements, and the server's session may be shared with other clients.
    public func isPooled() throws(PostgresError) -> Bool {
        try execute("SELECT pg_backend_pid()").integer(0, 0) != Int(processID)
    }

    private func begin() throws(PostgresError) {
        do throws(PostgresError) {
            _ = try execute("BEGIN; \(settings)")
        } catch {
            rollBack()
            // A server on an operating system that cannot check.
            guard isUsable, canCheckClient, error.sqlState == "22023" else { throw error }
            canCheckClient = false
            _ = try execute("BEGIN; \(settings)")
        }
    }

    private func rollBack() {
        if isUsable, (try? execute("ROLLBACK")) == nil { close() }
    }

    private var settings: String {
        let milliseconds = Int(timeout / .milliseconds(1)) + 1000
        var settings = [
            "TimeZone TO 'UTC'", "statement_timeout TO \(milliseconds)",
            "idle_in_transaction_session_timeout TO \(milliseconds)", "tcp_keepalives_idle TO 30",
            "tcp_keepalives_interval TO 10", "tcp_keepalives_count TO 3",
        ]
        // Else a statement that we gave up would keep its locks, and keepalives are not sent behind an answer that nobody
        // acknowledges. In milliseconds, from version 14 on.
        if canCheckClient, serverVersion >= 14_0000 {
            settings += ["client_connection_check_interval TO 2000", "tcp_user_timeout TO 60000"]
        }
        return settings.map { "SET LOCAL " + $0 }.joined(separator: "; ")
    }

    private func commit() throws(PostgresError) {
        guard isUsable else { throw .unavailable("the connection was lost within the transaction") }
        let answer: Rows
        do {
            answer = try execute("COMMIT")
        } catch {
            if case .unavailable(let reason) = error { throw .outcomeUnknown(reason) }
            throw error
        }
        // The server answers COMMIT of an aborted transaction with success and this tag.
        guard answer.tag != "ROLLBACK" else {
            throw .refused(sqlState: "25P02", message: "an earlier error has aborted the transaction", detail: nil)
        }
    }
}
