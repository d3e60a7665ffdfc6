internal import CLibpq

/// A connection to PostgreSQL on which no call can hang: every wait is a poll(2) with a deadline.
///
/// It has one owner at a time, on a thread that may block. After a timeout or a broken connection it is closed, and
/// later calls throw `unavailable`. Only the resolver waits without our deadline, in `PQconnectStartParams` and
/// `PQconnectPoll`, if the host is a name and neither files nor DNS servers answer. resolv.conf(5) bounds that wait.
public final class Connection {
    // libpq's PGconn, nil once closed. Every libpq function treats nil as a bad connection.
    var handle: OpaquePointer?
    private let timeout: Duration

    /// Connects, and sets the encoding to UTF-8, the time zone to UTC and the server's timeouts for this session.
    /// Notices are ignored.
    ///
    /// Follows `PQconnectStartParams` and `PQconnectPoll`. Throws `unavailable` if no server accepts the connection,
    /// even for a wrong password: libpq does not distinguish the reasons, and each of them may be fixed at the server.
    ///
    /// - Parameters:
    ///   - conninfo: URL or key/value list; empty for libpq's own environment (`PGHOST`, `PGSERVICE`, `PGPASSFILE`, …).
    ///   - applicationName: shown in `pg_stat_activity`, unless the conninfo or `PGAPPNAME` has another.
    ///   - connectTimeout: for connecting and authenticating together, over all of the conninfo's hosts.
    ///   - timeout: for each statement without a timeout argument, and for an idle client within a transaction.
    public init(
        _ conninfo: String, applicationName: String, connectTimeout: Duration = .seconds(5),
        timeout: Duration = .seconds(60)
    ) throws(PostgresError) {
        self.timeout = timeout
        let deadline = ContinuousClock.now + connectTimeout
        do throws(PostgresError) {
            try connect(conninfo, applicationName, deadline)
            _ = try run("SET TimeZone TO 'UTC'", [], deadline)
            try boundTheServersPatience(deadline)
            try noticeOurLeaving(deadline)
        } catch {
            close()
            throw error
        }
    }

    deinit { close() }

    /// Closes the connection. The server rolls back uncommitted changes. Follows `PQfinish`.
    public func close() {
        if let handle { PQfinish(handle) }
        handle = nil
    }

    /// Runs a statement and returns its rows, in PostgreSQL's text format.
    ///
    /// Without parameters, `sql` may contain several statements, and the last one's result is returned (`PQsendQuery`).
    /// With parameters, it contains one statement with `$1`, `$2`, … in it (`PQsendQueryParams`). If the connection is
    /// lost or the answer is late, it throws `unavailable` and closes the connection, because the late answer would be
    /// taken for the next statement's. An error from the server is `refused`, and leaves the connection usable.
    public func execute(
        _ sql: String, _ parameters: [Parameter] = [], timeout: Duration? = nil
    ) throws(PostgresError) -> Rows {
        try run(sql, parameters, .now + (timeout ?? self.timeout))
    }

    /// Like `execute(_:_:timeout:)`, but runs `meanwhile` while the server works. `meanwhile` must not use the
    /// connection.
    public func execute(
        _ sql: String, _ parameters: [Parameter], meanwhile: @escaping () -> Void
    ) throws(PostgresError) -> Rows {
        try run(sql, parameters, .now + timeout, meanwhile: meanwhile)
    }

    /// Runs `body` between BEGIN and COMMIT, and rolls back if it throws.
    ///
    /// Throws `outcomeUnknown` if the connection is lost or times out during COMMIT. If the server has aborted the
    /// transaction, it throws 25P02 rather than report a commit, even if `body` suppresses the error.
    public func transaction<T>(_ body: () throws -> T) throws -> T {
        guard !isInTransaction else { throw PostgresError.invalid("a transaction cannot begin within another") }
        _ = try execute("BEGIN")
        let result: T
        do {
            result = try body()
        } catch {
            if isUsable, (try? execute("ROLLBACK")) == nil { close() }
            throw error
        }
        try commit()
        return result
    }

    /// Whether statements can be sent. This is the local state; the next statement shows whether the server still
    /// responds.
    public var isUsable: Bool { handle != nil && PQstatus(handle) == CONNECTION_OK }

    /// Whether a transaction is open, even an aborted one. Follows `PQtransactionStatus`.
    public var isInTransaction: Bool { [PQTRANS_INTRANS, PQTRANS_INERROR].contains(PQtransactionStatus(handle)) }

    /// The server process's ID, as in `pg_stat_activity`, or 0 when closed. Follows `PQbackendPID`.
    public var processID: Int32 { PQbackendPID(handle) }

    /// The server's version, 150018 for 15.18, or 0 when closed. Follows `PQserverVersion`.
    public var serverVersion: Int { Int(PQserverVersion(handle)) }

    private func run(
        _ sql: String, _ parameters: [Parameter], _ deadline: ContinuousClock.Instant,
        meanwhile: (() -> Void)? = nil
    ) throws(PostgresError) -> Rows {
        guard isUsable else { throw .unavailable("the connection is closed") }
        guard !sql.utf8.contains(0) else { throw .invalid("a statement cannot contain NUL") }
        try Self.check(parameters)
        do throws(PostgresError) {
            let sent = parameters.isEmpty ? PQsendQuery(handle, sql) : send(sql, parameters)
            guard sent == 1 else { throw .unavailable(lastMessage) }
            try flush(deadline)
            meanwhile?()
            return try collect(deadline)
        } catch {
            if case .unavailable = error { close() }
            throw error
        }
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

    /// Sets the server's timeouts, so that a frozen client or a dead network leaves nothing open, including locks. The
    /// server ends a statement one second after our own deadline, an idle transaction after the same time, and a silent
    /// TCP connection after one minute.
    private func boundTheServersPatience(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        let milliseconds = Int(timeout / .milliseconds(1)) + 1000
        _ = try run(
            """
            SET statement_timeout TO \(milliseconds); SET idle_in_transaction_session_timeout TO \(milliseconds);
            SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; SET tcp_keepalives_count TO 3
            """, [], deadline)
    }

    /// Makes the server (PostgreSQL 14 and newer) check every two seconds whether the client is still connected, so
    /// that a statement that we gave up does not keep its locks. A server without this setting is accepted.
    private func noticeOurLeaving(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        do {
            _ = try run(
                """
                SELECT set_config(name, '2000', false) FROM pg_settings WHERE name = 'client_connection_check_interval'
                """, [], deadline)
        } catch {
            guard case .refused = error else { throw error }
        }
    }
}
