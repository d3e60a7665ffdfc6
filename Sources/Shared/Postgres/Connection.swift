internal import CLibpq
internal import Glibc

/// A connection to PostgreSQL on which nothing can hang: every wait is a poll(2) with a deadline.
///
/// One owner at a time, on a thread that may block. After a time-out or a broken connection it is closed, and whatever
/// is asked of it then is `unavailable`. Unsafe because libpq is C: this file alone touches its pointers. The one wait
/// that has no deadline is the resolver's, when the host is a name.
public final class Connection {
    private var handle: OpaquePointer?
    private let timeout: Duration

    /// Connects.
    ///
    /// - Parameters:
    ///   - conninfo: URL or key/value list; empty for libpq's own environment (`PGHOST`, `PGSERVICE`, …).
    ///   - applicationName: shown in `pg_stat_activity`.
    ///   - connectTimeout: for the whole of connecting and authenticating.
    ///   - timeout: for each statement, unless it says otherwise.
    public init(
        _ conninfo: String, applicationName: String, connectTimeout: Duration = .seconds(5),
        timeout: Duration = .seconds(60)
    ) throws(PostgresError) {
        self.timeout = timeout
        try Self.check(conninfo)
        let settings = [
            ("dbname", conninfo), ("fallback_application_name", applicationName), ("client_encoding", "UTF8"),
        ].filter { !$0.1.isEmpty }
        handle = Self.withCStrings(settings.map(\.0)) { names in
            Self.withCStrings(settings.map(\.1)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard handle != nil else { throw .unavailable("out of memory") }
        do throws(PostgresError) {
            try connect(.now + connectTimeout)
            PQsetNoticeProcessor(handle, { _, _ in }, nil)
            guard PQsetnonblocking(handle, 1) == 0 else { throw .unavailable(lastMessage) }
            _ = try execute("SET TimeZone TO 'UTC'", timeout: connectTimeout)
        } catch {
            close()
            throw error
        }
    }

    deinit { close() }

    /// Whether statements can be sent.
    public var isUsable: Bool { handle != nil && PQstatus(handle) == CONNECTION_OK }

    /// The back end's process, as in `pg_stat_activity`.
    public var processID: Int32 { PQbackendPID(handle) }

    /// The server's version, 150018 for 15.18.
    public var serverVersion: Int { Int(PQserverVersion(handle)) }

    /// Closes the connection; the server rolls back what was not committed.
    public func close() {
        if let handle { PQfinish(handle) }
        handle = nil
    }

    /// Runs a statement and returns its rows, or the last result of several statements without parameters.
    public func execute(
        _ sql: String, _ parameters: [Parameter] = [], timeout: Duration? = nil
    ) throws(PostgresError) -> Rows {
        guard isUsable else { throw .unavailable("the connection is closed") }
        let deadline = ContinuousClock.now + (timeout ?? self.timeout)
        let sent = parameters.isEmpty ? PQsendQuery(handle, sql) : send(sql, parameters)
        do throws(PostgresError) {
            guard sent == 1 else { throw .unavailable(lastMessage) }
            try flush(deadline)
            return try collect(deadline)
        } catch {
            // After a time-out the answer may still come, and would be taken for the next statement's.
            if case .unavailable = error { close() }
            throw error
        }
    }

    /// Runs `body` between BEGIN and COMMIT, and rolls back when it throws.
    ///
    /// When COMMIT itself is `unavailable`, whether it took place is not known.
    public func transaction<T>(_ body: () throws -> T) throws -> T {
        _ = try execute("BEGIN")
        let result: T
        do {
            result = try body()
        } catch {
            if isUsable { _ = try? execute("ROLLBACK") }
            throw error
        }
        _ = try execute("COMMIT")
        return result
    }
}

extension Connection {
    /// Says what is wrong with a connection string without repeating it, for it may hold a password.
    private static func check(_ conninfo: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(conninfo, &message)
        if let message { PQfreemem(message) }
        guard let options else {
            throw .invalid("the database's address (DATABASE_URL) is malformed; expected postgresql://user@host/database")
        }
        PQconninfoFree(options)
    }

    private func connect(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        guard PQstatus(handle) != CONNECTION_BAD else { throw .unavailable(lastMessage) }
        var direction = PGRES_POLLING_WRITING
        while direction != PGRES_POLLING_OK {
            guard direction != PGRES_POLLING_FAILED else { throw .unavailable(lastMessage) }
            try wait(for: Int16(direction == PGRES_POLLING_READING ? POLLIN : POLLOUT), deadline, "connecting")
            direction = PQconnectPoll(handle)
        }
    }

    private func flush(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        while true {
            switch PQflush(handle) {
            case 0: return
            case 1:
                // Reading as well: a server that cannot send stops receiving.
                let ready = try wait(for: Int16(POLLIN | POLLOUT), deadline, "sending a statement")
                if ready & Int16(POLLIN) != 0, PQconsumeInput(handle) == 0 { throw .unavailable(lastMessage) }
            default: throw .unavailable(lastMessage)
            }
        }
    }

    private func collect(_ deadline: ContinuousClock.Instant) throws(PostgresError) -> Rows {
        var rows = Rows()
        var failure: PostgresError?
        while true {
            while PQisBusy(handle) == 1 {
                try wait(for: Int16(POLLIN), deadline, "waiting for an answer")
                guard PQconsumeInput(handle) == 1 else { throw .unavailable(lastMessage) }
            }
            guard let result = PQgetResult(handle) else { break }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: rows = Self.rows(of: result)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH: throw .unavailable("COPY is not supported here")
            default: if failure == nil { failure = Self.failure(of: result) }
            }
        }
        if let failure {
            // The server's last word before it goes is about the connection, not about the statement.
            if PQstatus(handle) != CONNECTION_OK { throw .unavailable(failure.description) }
            throw failure
        }
        return rows
    }

    @discardableResult
    private func wait(
        for events: Int16, _ deadline: ContinuousClock.Instant, _ what: String
    ) throws(PostgresError) -> Int16 {
        var descriptor = pollfd(fd: PQsocket(handle), events: events, revents: 0)
        guard descriptor.fd >= 0 else { throw .unavailable(lastMessage) }
        while true {
            let left = ContinuousClock.now.duration(to: deadline).components
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
            guard milliseconds >= 0 else { throw .unavailable("\(address): time ran out while \(what)") }
            let ready = poll(&descriptor, 1, Int32(clamping: milliseconds + 1))
            if ready > 0 { return descriptor.revents }
            if ready < 0, errno != EINTR { throw .unavailable("\(address): poll failed while \(what)") }
        }
    }

    private func send(_ sql: String, _ parameters: [Parameter]) -> Int32 {
        var types: [Oid] = []
        var formats: [Int32] = []
        for parameter in parameters {
            if case .array(let array) = parameter {
                types.append(array.element.arrayOID)
                formats.append(1)
            } else {
                types.append(0)
                formats.append(0)
            }
        }
        var values: [UnsafePointer<CChar>?] = []
        var lengths: [Int32] = []
        // Each parameter's bytes stay where they are while those behind it are added.
        func add(_ rest: ArraySlice<Parameter>) -> Int32 {
            guard let first = rest.first else {
                return PQsendQueryParams(
                    handle, sql, Int32(values.count), types, values, lengths, formats, 0)
            }
            func next(_ value: UnsafePointer<CChar>?, _ length: Int) -> Int32 {
                values.append(value)
                lengths.append(Int32(length))
                return add(rest.dropFirst())
            }
            let text: String?
            switch first {
            case .array(var array):
                return array.withEncoded { bytes in
                    next(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
                }
            case .text(let value): text = value
            case .integer(let value): text = value.map { String($0) }
            case .double(let value): text = value.map { "\($0)" }
            case .bool(let value): text = value.map { $0 ? "t" : "f" }
            }
            guard let text else { return next(nil, 0) }
            return text.withCString { next($0, 0) }
        }
        return add(parameters[...])
    }

    private static func rows(of result: OpaquePointer) -> Rows {
        let width = Int(PQnfields(result))
        let columns = (0..<width).map { PQfname(result, Int32($0)).map { String(cString: $0) } ?? "" }
        var values: [String?] = []
        for row in 0..<PQntuples(result) {
            for column in 0..<Int32(width) {
                let isNull = PQgetisnull(result, row, column) == 1
                values.append(isNull ? nil : PQgetvalue(result, row, column).map { String(cString: $0) })
            }
        }
        let affected = PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0
        return Rows(columns: columns, affected: affected, values: values)
    }

    private static func failure(of result: OpaquePointer) -> PostgresError {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { oneLine(String(cString: $0)) }
        }
        // PG_DIAG_SQLSTATE, PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL; macros that Swift does not see.
        guard let state = field("C") else {
            return .unavailable(PQresultErrorMessage(result).map { oneLine(String(cString: $0)) } ?? "no answer")
        }
        return .refused(sqlState: state, message: field("M") ?? "no message", detail: field("D"))
    }

    private var lastMessage: String {
        let message = PQerrorMessage(handle).map { Self.oneLine(String(cString: $0)) } ?? ""
        return message.isEmpty ? "\(address): the connection was lost" : message
    }

    private var address: String {
        let host = PQhost(handle).map { String(cString: $0) } ?? ""
        let port = PQport(handle).map { String(cString: $0) } ?? ""
        return "\(host.isEmpty ? "local socket" : host):\(port)"
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }

    /// A NULL-terminated list of C strings.
    private static func withCStrings<R>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> R) -> R {
        func add(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> R {
            guard index < strings.count else { return body(pointers + [nil]) }
            return strings[index].withCString { add(index + 1, pointers + [$0]) }
        }
        return add(0, [])
    }
}
