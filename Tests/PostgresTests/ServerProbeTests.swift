import Foundation
import Glibc
import Testing

@testable import Postgres

@Suite struct ServerProbeTests {
    /// A connection to a port of the loopback.
    private func connect(_ port: Int) throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = in_port_t(port).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
        return socket
    }

    private func isServerThere(_ socket: Int32, until deadline: ContinuousClock.Instant = .now + .seconds(3600)) -> Bool
    {
        var probe = ServerProbe()
        return probe.isServerThere(behind: socket, deadline)
    }

    @Test(.needsDatabase) func aServerThatAcceptsConnectionsIsThere() throws {
        let port = try #require(TestDatabase.url.flatMap { URL(string: $0)?.port })
        let socket = try connect(port)
        defer { close(socket) }
        #expect(isServerThere(socket))
    }

    /// As a frozen one's does, the kernel accepts the connection.
    @Test func aServerThatAnswersNothingIsNotThereUnlessTheDeadlineIsSooner() throws {
        let listener = Listener()
        defer { listener.close() }
        let socket = try connect(Int(listener.port))
        defer { close(socket) }
        #expect(!isServerThere(socket))
        #expect(isServerThere(socket, until: .now))
    }

    @Test(.needsDatabase) func keepalivesOffLeavesTheProbeOut() throws {
        let url = try #require(TestDatabase.url)
        let off = url + (url.contains("?") ? "&" : "?") + "keepalives=0"
        #expect(try Connection(url, applicationName: "test").canProbe)
        #expect(try !Connection(off, applicationName: "test").canProbe)
        #expect(ServerProbe(isOn: false).due > .now + .seconds(86_400))
    }

    /// It may be stopping, and end what it has begun.
    @Test func aServerThatRefusesConnectionsIsThere() throws {
        let listener = Listener()
        let socket = try connect(Int(listener.port))
        defer { close(socket) }
        // Shut down alone, the port stays ours and refuses.
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
        #expect(isServerThere(socket))
        listener.close()
    }

    @Test func anAnswerEndsTheWait() throws {
        let listener = Listener()
        defer { listener.close() }
        let socket = try connect(Int(listener.port))
        let accepted = accept(listener.descriptor, nil, nil)
        #expect(send(accepted, "x", 1, 0) == 1)
        #expect(isServerThere(socket))
        close(accepted)
        close(socket)
    }
}
