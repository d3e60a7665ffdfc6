internal import CLibpq
internal import Glibc

extension Connection {
    /// Runs a `COPY … FROM STDIN` with this input, and returns the number of rows that the server took.
    ///
    /// The server works while it receives the input, so `meanwhile` runs whenever it is behind, and until it has nothing
    /// left to do. Errors are those of `execute(_:_:timeout:)`. After an error from the server, `meanwhile` may have work
    /// left.
    ///
    /// - Parameter meanwhile: does a piece of work without the connection, and returns whether there is more.
    public func copy(
        _ sql: String, _ input: [UInt8], meanwhile: () -> Bool = { false }
    ) throws(PostgresError) -> Int {
        guard isUsable else { throw .unavailable("the connection is closed") }
        guard !sql.utf8.contains(0) else { throw .invalid("a statement cannot contain NUL") }
        let deadline = ContinuousClock.now + timeout
        probe = ServerProbe(isOn: canProbe)
        do throws(PostgresError) {
            guard PQsendQuery(handle, sql) == 1 else { throw .unavailable(lastMessage) }
            try flush(deadline)
            let rows = try collect(deadline) { () throws(PostgresError) in
                try send(input, deadline, meanwhile)
                return true
            }
            return rows.affected
        } catch {
            if case .unavailable = error { close() }
            throw error
        }
    }

    /// Sends the input in pieces, so that libpq does not hold all of it once more.
    private func send(
        _ input: [UInt8], _ deadline: ContinuousClock.Instant, _ meanwhile: () -> Bool
    ) throws(PostgresError) {
        var hasWork = true
        func flushPiece() throws(PostgresError) {
            while hasWork, PQflush(handle) == 1 { hasWork = meanwhile() }
            try flush(deadline)
        }
        for start in stride(from: 0, to: input.count, by: 1 << 16) {
            let piece = input[start..<min(start + 1 << 16, input.count)]
            try queue(deadline) {
                piece.withUnsafeBytes {
                    PQputCopyData(handle, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count))
                }
            }
            try flushPiece()
        }
        try queue(deadline) { PQputCopyEnd(handle, nil) }
        try flushPiece()
        while hasWork { hasWork = meanwhile() }
    }

    /// Hands something to libpq, which answers 0 while its buffer is full.
    private func queue(_ deadline: ContinuousClock.Instant, _ put: () -> Int32) throws(PostgresError) {
        while true {
            switch put() {
            case 1: return
            case 0: try flush(deadline)
            default: throw .unavailable(lastMessage)
            }
        }
    }
}
