import Foundation
import Synchronization

/// A TCP proxy before PostgreSQL that applies an effect exactly when the loader sends a certain statement.
///
/// It searches for the statement in the bytes of one read. That is enough: the client awaits each answer before it
/// sends the next statement, and `COMMIT` fits into one packet.
final class DatabaseProxy: Sendable {
    enum Effect: CaseIterable {
        /// Cuts the connection before the server gets the statement.
        case cutBefore
        /// Cuts the connection once the server has the statement, without waiting for its answer.
        case cutMeanwhile
        /// Cuts the connection once the server has answered, and loses the answer.
        case cutAfter
        /// Keeps the connection open and forwards nothing more in either direction.
        case hang
    }

    let port: Int
    private let listener: Int32
    private let server: Int
    /// The delay of bytes in each direction.
    private let delay: Duration
    private let connections = Mutex((all: 0, open: 0))
    private let fault = Mutex<(effect: Effect, statement: String, previous: String)?>(nil)

    /// - Parameters:
    ///   - host: the last number of its address 127.0.0.…
    ///   - port: its port, 0 for one that the kernel chooses.
    init(to server: Int, delay: Duration = .zero, at host: UInt32 = 1, port: Int = 0) throws {
        self.server = server
        self.delay = delay
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        var address = Self.loopback(host, port: port)
        let listener = listener
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening else { throw Rig.Failure(description: "cannot listen: errno \(errno)") }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { break }
                Thread.detachNewThread { [self] in serve(client) }
            }
            Glibc.close(listener)
        }
    }

    var url: String { "postgresql://shelly@127.0.0.1:\(port)/shelly" }

    /// Applies the effect once: the next time that a client sends the statement, or anything at all if it is empty.
    ///
    /// - Parameter previous: a statement that must come first, unless it is empty.
    func arm(_ effect: Effect, at statement: String, behind previous: String = "") {
        fault.withLock { $0 = (effect, statement, previous) }
    }

    /// Whether the armed effect is still to come.
    var isArmed: Bool { fault.withLock { $0 != nil } }

    /// The connections since the start, and those that are open now.
    var count: (all: Int, open: Int) { connections.withLock { $0 } }

    /// Accepts no more connections.
    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    /// Forwards bytes in both directions until one side ends.
    private func serve(_ client: Int32) {
        connections.withLock { $0 = ($0.all + 1, $0.open + 1) }
        defer { connections.withLock { $0.open -= 1 } }
        let upstream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            Glibc.close(client)
            Glibc.close(upstream)
        }
        var address = Self.loopback(port: server)
        let isConnected = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(upstream, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { return }
        var ends = [client, upstream].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while poll(&ends, 2, -1) > 0 {
            if ends[1].revents != 0 {
                guard let bytes = Self.receive(upstream) else { return }
                usleep(UInt32(delay / .microseconds(1)))
                guard Self.send(bytes, client) else { return }
            }
            if ends[0].revents != 0 {
                guard let bytes = Self.receive(client) else { return }
                usleep(UInt32(delay / .microseconds(1)))
                switch strike(bytes) {
                case nil: guard Self.send(bytes, upstream) else { return }
                case .cutBefore: return
                case .cutMeanwhile:
                    _ = Self.send(bytes, upstream)
                    return
                case .cutAfter:
                    _ = Self.send(bytes, upstream)
                    _ = Self.receive(upstream)
                    return
                case .hang:
                    while Self.receive(client) != nil {}
                    return
                }
            }
        }
    }

    /// The effect if it is armed for these bytes.
    private func strike(_ bytes: [UInt8]) -> Effect? {
        fault.withLock { fault in
            guard let armed = fault else { return nil }
            guard armed.previous.isEmpty else {
                if bytes.firstRange(of: armed.previous.utf8) != nil { fault?.previous = "" }
                return nil
            }
            guard armed.statement.isEmpty || bytes.firstRange(of: armed.statement.utf8) != nil else { return nil }
            fault = nil
            return armed.effect
        }
    }

    private static func receive(_ socket: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(socket, &bytes, bytes.count, 0)
        return count > 0 ? Array(bytes[..<count]) : nil
    }

    private static func send(_ bytes: [UInt8], _ socket: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func loopback(_ host: UInt32 = 1, port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = (0x7F00_0000 + host).bigEndian
        return address
    }
}
