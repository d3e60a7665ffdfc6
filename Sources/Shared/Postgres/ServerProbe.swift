internal import Glibc

/// Asks whether a server that owes an answer still accepts connections.
///
/// The kernel of a frozen server goes on to acknowledge packets, so neither keepalives nor `tcp_user_timeout` find it. The
/// probe is a second connection to the same address that asks for TLS, which every server and pooler answers with a byte.
struct ServerProbe {
    /// How long a server is silent before it is asked for the first time. Each further time is twice as late, since most
    /// long silences are long statements.
    private static let firstSilence = Duration.seconds(2)
    /// How long the server has for its answer: 4 s, so that a frozen server and one whose machine is gone are given up after
    /// the same time. They are counted in slices, so that a machine that stops for some seconds does not use them up.
    private static let slices = 40
    private static let sliceMilliseconds: Int32 = 100
    /// SSLRequest, in "Message Formats" of PostgreSQL's manual: its length, and a code in the version's place.
    private static let request: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47]

    private var silence = Self.firstSilence
    /// When the server is asked, if it is silent until then.
    private(set) var due: ContinuousClock.Instant

    /// Begins with the silence.
    init() { due = .now + silence }

    /// Returns false if the server neither accepts nor refuses a connection. Returns true earlier if there is something to
    /// read on `connection`, the socket on which the answer is missing, or at the deadline.
    mutating func isServerThere(behind connection: Int32, _ deadline: ContinuousClock.Instant) -> Bool {
        defer {
            silence *= 2
            due = .now + silence
        }
        // A failure of a call says nothing about the server.
        guard let probe = Self.connected(to: connection) else { return true }
        defer { close(probe) }
        var isAsked = false
        for _ in 0..<Self.slices where ContinuousClock.now < deadline {
            var descriptors = [
                pollfd(fd: connection, events: Int16(POLLIN), revents: 0),
                pollfd(fd: probe, events: Int16(isAsked ? POLLIN : POLLOUT), revents: 0),
            ]
            guard poll(&descriptors, 2, Self.sliceMilliseconds) > 0 else { continue }
            guard descriptors[0].revents == 0, !isAsked else { return true }
            guard send(probe, Self.request, Self.request.count, Int32(MSG_NOSIGNAL)) > 0 else { return true }
            isAsked = true
        }
        return ContinuousClock.now >= deadline
    }

    /// A socket that connects to the address to which this one is connected.
    private static func connected(to connection: Int32) -> Int32? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getpeername(connection, address, &length) == 0 else { return nil }
                let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
                let probe = socket(Int32(address.pointee.sa_family), Int32(kind), 0)
                guard probe >= 0 else { return nil }
                guard connect(probe, address, length) == 0 || errno == EINPROGRESS else {
                    close(probe)
                    return nil
                }
                return probe
            }
        }
    }
}
