// Postgres: libpq within deadlines: connections, statements, results.
// Begin here.
// Uses Text.

internal import CLibpq

/// A connection to PostgreSQL on which no call can hang: every wait is a poll(2) with a deadline.
///
/// It sets nothing in its session, because a pooler may give the session to other clients after each transaction. The
/// time zone and the server's timeouts belong to `transaction`; a statement outside of one has only the client's timeout.
///
/// A server that is silent for seconds is asked over a second connection whether it still accepts any (`ServerProbe`), so
/// that a frozen one does not cost the statement's whole timeout.
///
/// It has one owner at a time, on a thread that may block. After a timeout or a broken connection it is closed, and
/// later calls throw `unavailable`. Only the resolver waits without our deadline, in `getaddrinfo`, if the host
/// is a name and neither files nor DNS servers answer. resolv.conf(5) bounds that wait.
public final class Connection {
    // libpq's PGconn, nil once closed. Every libpq function treats nil as a bad connection.
    var handle: OpaquePointer?
    let timeout: Duration
    /// Finds a server that is silent because it is frozen.
    var probe = ServerProbe()
    /// False with `keepalives=0`.
    private(set) var canProbe = true
    /// Whether the server can check during a statement that its client is still there.
    var canCheckClient: Bool

    /// Connects, with the encoding UTF-8. Notices are ignored.
    ///
    /// Follows `PQconnectStartParams` and `PQconnectPoll`. Of several hosts or addresses, the first that accepts is
    /// taken, however long the others are silent. Throws `unavailable` if no server accepts the connection now, and `refused` with the
    /// SQLSTATE if one does not accept the role, the password or the database.
    ///
    /// - Parameters:
    ///   - conninfo: URL or key/value list; empty for libpq's own environment (`PGHOST`, `PGSERVICE`, `PGPASSFILE`, …).
    ///   - applicationName: shown in `pg_stat_activity`, unless the conninfo or `PGAPPNAME` has another.
    ///   - connectTimeout: for connecting and authenticating together, for each of the conninfo's hosts and each of their
    ///     addresses.
    ///   - timeout: for each statement without a timeout argument, and for an idle client within a transaction.
    ///   - progress: called at each step of connecting, such as the server's answers. It shows that a server is slow and
    ///     not silent.
    public init(
        _ conninfo: String, applicationName: String, connectTimeout: Duration = .seconds(5),
        timeout: Duration = .seconds(60), progress: @escaping () -> Void = {}
    ) throws(PostgresError) {
        self.timeout = timeout
        canCheckClient = true
        do throws(PostgresError) {
            try connect(conninfo, applicationName, connectTimeout, progress)
            canProbe = handle.map { HostRace.options(of: $0)["keepalives"] != "0" } ?? true
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

    /// Like `execute(_:_:timeout:)`, but runs `meanwhile` while the server works.
    ///
    /// - Parameter meanwhile: does a piece of work without the connection, and returns whether there is more.
    public func execute(
        _ sql: String, _ parameters: [Parameter], meanwhile: () -> Bool
    ) throws(PostgresError) -> Rows {
        try run(sql, parameters, .now + timeout, meanwhile: meanwhile)
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
        meanwhile: () -> Bool = { false }
    ) throws(PostgresError) -> Rows {
        guard isUsable else { throw .unavailable("the connection is closed") }
        guard !sql.utf8.contains(0) else { throw .invalid("a statement cannot contain NUL") }
        try Self.check(parameters)
        probe = ServerProbe(isOn: canProbe)
        do throws(PostgresError) {
            let sent = parameters.isEmpty ? PQsendQuery(handle, sql) : send(sql, parameters)
            guard sent == 1 else { throw .unavailable(lastMessage) }
            try flush(deadline)
            while meanwhile() {}
            return try collect(deadline)
        } catch {
            if case .unavailable = error { close() }
            throw error
        }
    }
}
