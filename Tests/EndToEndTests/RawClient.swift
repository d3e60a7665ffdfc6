import Foundation

/// A TCP connection to the receiver. The test decides which bytes it sends, and when.
final class RawClient {
    private let socket: Int32

    init(port: Int) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var timeout = timeval(tv_sec: Rig.hangSeconds, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Rig.Failure(description: "cannot connect: errno \(errno)") }
    }

    deinit { close(socket) }

    func send(_ text: String) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Rig.Failure(description: "cannot send: errno \(errno)") }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Ends the sending side of the connection.
    func finish() { shutdown(socket, Int32(SHUT_WR)) }

    /// Whether bytes or the end of the connection have arrived. Does not wait.
    var hasInput: Bool {
        var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    /// The received text up to the end of the connection, or until it contains `mark`.
    func receive(until mark: String? = nil) throws -> String {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count >= 0 else { throw Rig.Failure(description: "no answer: errno \(errno)") }
            received += buffer[..<count]
            let text = String(decoding: received, as: UTF8.self)
            if count == 0 { return text }
            if let mark, text.contains(mark) { return text }
        }
    }

    /// Posts a batch and returns the answer, on a connection that stays open for the next one.
    func post(_ body: String, key: String = Rig.key) throws -> Rig.Answer {
        let start = ContinuousClock.now
        try sendBatch(body, key: key)
        return try answer(since: start)
    }

    /// Sends a batch and does not wait for its answer.
    func sendBatch(_ body: String, key: String = Rig.key) throws {
        try send(Self.head(contentLength: body.utf8.count, key: key) + body)
    }

    /// Returns the next answer.
    func answer(since start: ContinuousClock.Instant = .now) throws -> Rig.Answer {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let text = String(decoding: received, as: UTF8.self)
            if let head = text.range(of: "\r\n\r\n") {
                let headers = text[..<head.lowerBound].lowercased()
                let rest = text[head.upperBound...]
                let length = headers.range(of: "content-length: ").flatMap {
                    Int(headers[$0.upperBound...].prefix { $0.isNumber })
                }
                if let length, rest.utf8.count >= length {
                    return Rig.Answer(
                        status: Int(headers.dropFirst(9).prefix(3)) ?? 0, headers: headers, text: String(rest),
                        seconds: (ContinuousClock.now - start) / .seconds(1))
                }
            }
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { throw Rig.Failure(description: "no answer: errno \(errno)") }
            received += buffer[..<count]
        }
    }

    /// The head of a POST to the ingest route with a body of this length.
    static func head(contentLength: Int, key: String = Rig.key) -> String {
        "POST /api/ingest/batch HTTP/1.1\r\nHost: localhost\r\nX-API-Key: \(key)\r\n"
            + "Content-Type: application/json\r\nContent-Length: \(contentLength)\r\n\r\n"
    }

    /// Sends the head of such a POST and returns when the receiver has admitted it, which it confirms with a 100.
    func beginBatch(contentLength: Int) throws {
        try send(Self.head(contentLength: contentLength).dropLast() + "Expect: 100-continue\r\n\r\n")
        let answer = try receive(until: "\r\n\r\n")
        guard answer.hasPrefix("HTTP/1.1 100 ") else { throw Rig.Failure(description: "not admitted: \(answer)") }
    }
}
