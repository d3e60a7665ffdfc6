internal import CLibpq

/// A connection to PostgreSQL on which nothing can hang: every wait is a poll(2) with a deadline.
///
/// One owner at a time, on a thread that may block. After a time-out or a broken connection it is closed, and whatever
/// is asked of it then is `unavailable`. The one wait without a deadline is the resolver's, in `PQconnectStartParams`
/// and `PQconnectPoll`, when the host is a name that neither files nor DNS answer for; resolv.conf(5) bounds that.
public final class Connection {
    // libpq's PGconn; nil once closed, which every libpq function takes for a connection that is bad.
    var handle: OpaquePointer?
    private let timeout: Duration

    /// Connects, and sets the encoding to UTF-8, the time zone to UTC and the server's own time-outs for this session.
    /// Notices are ignored.
    ///
    /// Follows `PQconnectStartParams` and `PQconnectPoll`. Fails as `unavailable` when no server lets us in, be it for a
    /// wrong password: libpq does not tell these apart, and a server may mend either.
    ///
    /// - Parameters:
    ///   - conninfo: URL or key/value list; empty for libpq's own environment (`PGHOST`, `PGSERVICE`, `PGPASSFILE`, …).
    ///   - applicationName: shown in `pg_stat_activity`, unless the conninfo or `PGAPPNAME` has another.
    ///   - connectTimeout: for the whole of connecting and authenticating, over all of the conninfo's hosts.
    ///   - timeout: for each statement, unless it says otherwise, and for a pause of ours within a transaction.
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

    /// Closes the connection; the server rolls back what was not committed. Follows `PQfinish`.
    public func close() {
        if let handle { PQfinish(handle) }
        handle = nil
    }

    /// Runs a statement and returns its rows, in PostgreSQL's text format.
    ///
    /// Without parameters `sql` may hold several statements, of which the last one's result is returned
    /// (`PQsendQuery`); with them it holds one, with `$1`, `$2`, … in it (`PQsendQueryParams`). A connection that was
    /// lost or answers too late is `unavailable` and is closed, for the answer may still come and would be taken for
    /// that of the next statement. An error from the server is `refused`, and leaves the connection usable.
    public func execute(
        _ sql: String, _ parameters: [Parameter] = [], timeout: Duration? = nil
    ) throws(PostgresError) -> Rows {
        try run(sql, parameters, .now + (timeout ?? self.timeout))
    }

    /// As `execute(_:_:timeout:)`, and runs `meanwhile`, which must not use the connection, while the server works.
    public func execute(
        _ sql: String, _ parameters: [Parameter], meanwhile: @escaping () -> Void
    ) throws(PostgresError) -> Rows {
        try run(sql, parameters, .now + timeout, meanwhile: meanwhile)
    }

    /// Runs `body` between BEGIN and COMMIT, and rolls back when it throws.
    ///
    /// Fails as `outcomeUnknown` when the connection is lost or too slow during COMMIT. A transaction that the server
    /// aborted is never taken for a committed one, even when `body` keeps the error to itself: that is 25P02.
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

    /// Whether statements can be sent. It is not asked of the server: the next statement tells.
    public var isUsable: Bool { handle != nil && PQstatus(handle) == CONNECTION_OK }

    /// Whether a transaction is open, an aborted one included. Follows `PQtransactionStatus`.
    public var isInTransaction: Bool { [PQTRANS_INTRANS, PQTRANS_INERROR].contains(PQtransactionStatus(handle)) }

    /// The back end's process, as in `pg_stat_activity`; 0 when closed. Follows `PQbackendPID`.
    public var processID: Int32 { PQbackendPID(handle) }

    /// The server's version, 150018 for 15.18; 0 when closed. Follows `PQserverVersion`.
    public var serverVersion: Int { Int(PQserverVersion(handle)) }

    /// An identifier for SQL, in double quotes. Follows `PQescapeIdentifier`.
    public func quoteIdentifier(_ identifier: String) throws(PostgresError) -> String {
        guard handle != nil else { throw .unavailable("the connection is closed") }
        guard !identifier.utf8.contains(0) else { throw .invalid("an identifier cannot hold a NUL") }
        guard let quoted = PQescapeIdentifier(handle, identifier, identifier.utf8.count) else {
            throw .invalid("an identifier cannot be quoted: \(lastMessage)")
        }
        defer { PQfreemem(quoted) }
        return String(cString: quoted)
    }

    private func run(
        _ sql: String, _ parameters: [Parameter], _ deadline: ContinuousClock.Instant,
        meanwhile: (() -> Void)? = nil
    ) throws(PostgresError) -> Rows {
        guard isUsable else { throw .unavailable("the connection is closed") }
        guard !sql.utf8.contains(0) else { throw .invalid("a statement cannot hold a NUL") }
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

    /// Has the server end by itself what a frozen client or a dead network would leave open, locks included: a statement
    /// a second after our own deadline, an idle transaction after the same time, a silent TCP connection after a minute.
    private func boundTheServersPatience(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        let milliseconds = Int(timeout / .milliseconds(1)) + 1000
        _ = try run(
            """
            SET statement_timeout TO \(milliseconds); SET idle_in_transaction_session_timeout TO \(milliseconds);
            SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; SET tcp_keepalives_count TO 3
            """, [], deadline)
    }

    /// Has the server (PostgreSQL 14 and newer) look every two seconds whether we are still there, so that a statement
    /// we gave up does not go on holding its locks. One that cannot do so is fine as well.
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
