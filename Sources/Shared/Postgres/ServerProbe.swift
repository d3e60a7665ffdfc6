internal import Glibc

/// Asks whether a server that owes an answer still accepts connections.
///
/// The kernel of a frozen server goes on to acknowledge packets, so neither keepalives nor `tcp_user_timeout` find it. The
/// probe is a second connection to the same address that asks for TLS, which servers and poolers answer with a byte.
///
/// A proxy that lets new connections wait while it is full, such as pgpool-II, is silent as well. `keepalives=0` in the
/// connection string leaves the probe out.
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
    ///
    /// - Parameter isOn: whether the server is ever asked.
    init(isOn: Bool = true) { due = .now + (isOn ? silence : .seconds(1 << 32)) }

    /// Returns false if the server neither accepts nor refuses a connection. Returns true earlier if one of `events`
    /// happens on `connection`, the socket on which the server is silent, or at the deadline.
    mutating func isServerThere(
        behind connection: Int32, for events: Int16 = Int16(POLLIN), _ deadline: ContinuousClock.Instant
    ) -> Bool {
        defer {
            silence *= 2
            due = .now + silence
        }
        // A failure of a call says nothing about the server.
        guard let probe = Self.connected(to: connection) else { return true }
        defer { close(probe) }
        var isAsked = false
        var slices = 0
        while slices < Self.slices, ContinuousClock.now < deadline {
            var descriptors = [
                pollfd(fd: connection, events: events, revents: 0),
                pollfd(fd: probe, events: Int16(isAsked ? POLLIN : POLLOUT), revents: 0),
            ]
            let ready = poll(&descriptors, 2, Self.sliceMilliseconds)
            if ready == 0 { slices += 1 }
            guard ready > 0 else { continue }
            guard descriptors[0].revents == 0, !isAsked else {
                // A byte that is left unread would reset the connection, which the server logs.
                var byte: UInt8 = 0
                _ = recv(probe, &byte, 1, Int32(MSG_DONTWAIT))
                return true
            }
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
