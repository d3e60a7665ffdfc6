internal import CLibpq
internal import Glibc

extension Connection {
    /// Sends the data that libpq has buffered.
    func flush(_ deadline: ContinuousClock.Instant) throws(PostgresError) {
        while true {
            switch PQflush(handle) {
            case 0: return
            case 1:
                // Read as well: a server that cannot send stops receiving.
                let ready = try wait(for: Int16(POLLIN | POLLOUT), deadline, "sending a statement")
                if ready & Int16(POLLIN) != 0, PQconsumeInput(handle) == 0 { throw .unavailable(lastMessage) }
            default: throw .unavailable(lastMessage)
            }
        }
    }

    /// Reads all results of the statement, and returns the last one's rows or throws the first error.
    ///
    /// - Parameter sendInput: sends the next input of a `COPY … FROM STDIN`; false if there is none.
    func collect(
        _ deadline: ContinuousClock.Instant,
        sendInput: () throws(PostgresError) -> Bool = { () throws(PostgresError) in false }
    ) throws(PostgresError) -> Rows {
        var rows = Rows()
        var failure: PostgresError?
        // Data that TLS has decrypted but libpq has not yet read does not make the socket readable, so libpq is polled
        // every 50 ms.
        let pause = PQsslInUse(handle) == 1 ? Duration.milliseconds(50) : nil
        while true {
            while PQisBusy(handle) == 1 {
                try wait(for: Int16(POLLIN), deadline, atMost: pause, "waiting for an answer")
                // The server's last message before it disconnects is about the connection, not about the statement.
                guard PQconsumeInput(handle) == 1 else { throw .unavailable(failure?.description ?? lastMessage) }
            }
            guard let result = PQgetResult(handle) else { break }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: rows = Rows(result)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                if PQresultStatus(result) == PGRES_COPY_IN, try sendInput() { break }
                close()
                throw .invalid("COPY to or from the client is not possible here")
            default: failure = failure ?? PostgresError(result)
            }
        }
        if let failure {
            if PQstatus(handle) != CONNECTION_OK { throw .unavailable(failure.description) }
            throw failure
        }
        return rows
    }

    /// Waits for the socket and returns poll(2)'s `revents`, or 0 after `atMost`.
    @discardableResult
    func wait(
        for events: Int16, _ deadline: ContinuousClock.Instant, atMost: Duration? = nil, _ what: String
    ) throws(PostgresError) -> Int16 {
        var descriptor = pollfd(fd: PQsocket(handle), events: events, revents: 0)
        guard descriptor.fd >= 0 else { throw .unavailable(lastMessage) }
        while true {
            if probe.due <= .now, !probe.isServerThere(behind: descriptor.fd, for: events, deadline) {
                throw .unavailable("\(address): timeout while \(what), and the server accepts no other connection")
            }
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw .unavailable("\(address): timeout while \(what)") }
            let pause = max(.zero, min(left, atMost ?? left, ContinuousClock.now.duration(to: probe.due))).components
            let milliseconds = pause.seconds * 1000 + pause.attoseconds / 1_000_000_000_000_000
            // Add one, because waiting for 0 ms at the end would spin.
            let ready = poll(&descriptor, 1, Int32(clamping: milliseconds + 1))
            if ready > 0 {
                probe = ServerProbe(isOn: canProbe)
                return descriptor.revents
            }
            if ready == 0, atMost != nil { return 0 }
            if ready < 0, errno != EINTR { throw .unavailable("\(address): poll(2) failed while \(what)") }
        }
    }

    /// libpq's last message about this connection. It contains the server and the user, never the password.
    var lastMessage: String {
        let message = PQerrorMessage(handle).map { oneLine(String(cString: $0)) } ?? ""
        return message.isEmpty ? "\(address): the connection was lost" : message
    }

    private var address: String { serverAddress(of: handle) }
}
