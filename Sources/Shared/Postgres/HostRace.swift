internal import CLibpq
internal import Glibc

/// Connects to the first of several hosts that accepts, or of several addresses of a host.
///
/// They are tried in their order. The next one is tried as soon as the previous one has failed, or when it has been
/// silent for a moment; so an address that drops packets delays the others by that moment only. libpq alone would wait for
/// each without a limit: `PQconnectPoll` does not know `connect_timeout`.
struct HostRace {
    /// libpq's parameters, names and values, before those of the host.
    let parameters: [(name: String, value: String)]
    /// Timeout for each address.
    let timeout: Duration
    /// Called at each step of an attempt, and not while the servers are silent.
    let progress: () -> Void

    /// An attempt that has not ended.
    private struct Attempt {
        let handle: OpaquePointer
        let deadline: ContinuousClock.Instant
        var direction = PGRES_POLLING_WRITING
    }

    private enum Outcome {
        case silent, advanced, connected
        case failed(PostgresError)
    }

    /// How long a silent host delays the next one, if the timeout is not shorter than four times this.
    private static let longestHeadStart = Duration.seconds(1)

    /// Returns a connected handle, which the caller owns.
    func run() throws(PostgresError) -> OpaquePointer {
        let probe = try start([])
        let list = HostList(Self.options(of: probe))
        let hosts = list.hosts.count == 1 ? list.addresses(of: list.hosts[0]) : list.hosts
        guard hosts.count > 1 else { return try run([[]], of: list, started: probe) }
        PQfinish(probe)
        var failure = PostgresError.unavailable("no host")
        for pass in list.passes {
            do throws(PostgresError) {
                return try run(hosts.map { $0 + pass }, of: list)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func run(
        _ hosts: [HostList.Host], of list: HostList, started: OpaquePointer? = nil
    ) throws(PostgresError) -> OpaquePointer {
        var waiting = hosts[...]
        var attempts: [Attempt] = []
        var failures: [PostgresError] = []
        var next = ContinuousClock.now
        defer { for attempt in attempts { PQfinish(attempt.handle) } }
        while true {
            if let host = waiting.first, attempts.isEmpty || ContinuousClock.now >= next {
                let addresses = list.addresses(of: host)
                waiting = addresses.dropFirst() + waiting.dropFirst()
                do throws(PostgresError) {
                    let handle = if let started { started } else { try start(addresses[0]) }
                    attempts.append(Attempt(handle: handle, deadline: .now + timeout))
                    next = .now + min(Self.longestHeadStart, timeout / 4)
                } catch {
                    // A setting that cannot be used is the same for each host.
                    if error.isOurs { throw error }
                    failures.append(error)
                }
            }
            guard !attempts.isEmpty || !waiting.isEmpty else { throw Self.summary(failures) }
            guard !attempts.isEmpty else { continue }
            Self.await(attempts, until: waiting.isEmpty ? nil : next)
            for index in attempts.indices.reversed() {
                switch Self.advance(&attempts[index]) {
                case .silent: break
                case .advanced: progress()
                case .connected: return attempts.remove(at: index).handle
                case .failed(let error):
                    PQfinish(attempts.remove(at: index).handle)
                    failures.append(error)
                    next = .now
                }
            }
        }
    }

    private func start(_ host: HostList.Host) throws(PostgresError) -> OpaquePointer {
        let settings = (parameters + host).filter { !$0.value.isEmpty }
        let handle = withCStrings(settings.map(\.name)) { names in
            withCStrings(settings.map(\.value)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard let handle else { throw .unavailable("out of memory") }
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        // libpq has no other way to report the SQLSTATE of a refused connection.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        guard PQstatus(handle) != CONNECTION_BAD else {
            defer { PQfinish(handle) }
            throw Self.startFailure(Self.message(handle))
        }
        return handle
    }

    /// Waits until an attempt can go on or ends, or until the next one is due.
    private static func await(_ attempts: [Attempt], until next: ContinuousClock.Instant?) {
        var descriptors = attempts.map { attempt in
            let events = attempt.direction == PGRES_POLLING_READING ? POLLIN : POLLOUT
            return pollfd(fd: PQsocket(attempt.handle), events: Int16(events), revents: 0)
        }
        let end = (attempts.map(\.deadline) + [next].compactMap(\.self)).min() ?? .now
        // Add one, because waiting for 0 ms at the end would spin.
        let milliseconds = max(0, Int(ContinuousClock.now.duration(to: end) / .milliseconds(1))) + 1
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(clamping: milliseconds))
    }

    private static func advance(_ attempt: inout Attempt) -> Outcome {
        let events = attempt.direction == PGRES_POLLING_READING ? POLLIN : POLLOUT
        var descriptor = pollfd(fd: PQsocket(attempt.handle), events: Int16(events), revents: 0)
        guard descriptor.fd >= 0 else { return .failed(.unavailable(message(attempt.handle))) }
        guard poll(&descriptor, 1, 0) > 0 else {
            guard ContinuousClock.now >= attempt.deadline else { return .silent }
            return .failed(.unavailable("\(serverAddress(of: attempt.handle)): timeout while connecting"))
        }
        attempt.direction = PQconnectPoll(attempt.handle)
        if attempt.direction == PGRES_POLLING_OK { return .connected }
        return attempt.direction == PGRES_POLLING_FAILED ? .failed(failure(of: attempt.handle)) : .advanced
    }

    /// `refused` if the server does not accept the role, the password, the database or an option, and `unavailable` if
    /// it may accept the same connection later.
    private static func failure(of handle: OpaquePointer) -> PostgresError {
        let text = PQerrorMessage(handle).map { String(cString: $0) } ?? ""
        let found = ConnectFailure(text, needsPassword: PQconnectionNeedsPassword(handle) == 1)
        guard let state = found.settingsState else { return .unavailable(found.text) }
        var origin = PostgresError.Origin()
        origin.isStart = true
        return .refused(sqlState: state, message: found.text, detail: nil, origin: origin)
    }

    /// One error for all hosts: the first that waiting does not fix, or all messages.
    private static func summary(_ failures: [PostgresError]) -> PostgresError {
        if let refusal = failures.first(where: { $0.sqlState != nil }) { return refusal }
        let messages = failures.map { failure in
            if case .unavailable(let message) = failure { message } else { failure.description }
        }
        return .unavailable(messages.joined(separator: "; "))
    }

    /// Distinguishes an invalid setting from an unreachable server, by the wording of libpq's messages.
    private static func startFailure(_ message: String) -> PostgresError {
        if message.hasPrefix("definition of service") { return .invalid(message) }
        // These messages repeat the value.
        guard message.hasPrefix("invalid ") else { return .unavailable(message) }
        return .invalid("the database's address has an unusable setting; check port, sslmode and the like")
    }

    private static func message(_ handle: OpaquePointer) -> String {
        PQerrorMessage(handle).map { oneLine(String(cString: $0)) } ?? ""
    }

    /// The options that are in effect.
    static func options(of handle: OpaquePointer) -> [String: String] {
        guard let list = PQconninfo(handle) else { return [:] }
        defer { PQconninfoFree(list) }
        return ConnectionString.values(list)
    }
}
