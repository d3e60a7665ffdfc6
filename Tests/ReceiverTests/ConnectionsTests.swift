import NIOCore
import Synchronization
import Testing

@testable import Receiver

/// The connections that are closed to make room at a limit (invariants 11 and 12).
struct ConnectionsTests {
    private let now = NIODeadline.now()

    private func rank(hasShownKey: Bool, isBusy: Bool, seconds: Int64) -> ConnectionRank? {
        ConnectionRank(hasShownKey: hasShownKey, isBusy: isBusy, since: now - .seconds(seconds), now: now)
    }

    @Test func connectionsWithoutAKeyAreEvictedFirstAndTheOldestBeforeNewerOnes() throws {
        let inOrder = [
            rank(hasShownKey: false, isBusy: false, seconds: 90), rank(hasShownKey: false, isBusy: false, seconds: 20),
            rank(hasShownKey: false, isBusy: true, seconds: 8), rank(hasShownKey: false, isBusy: true, seconds: 0),
            rank(hasShownKey: true, isBusy: false, seconds: 100), rank(hasShownKey: true, isBusy: false, seconds: 0),
        ]
        let ranks = try inOrder.map { try #require($0) }
        #expect(ranks.shuffled().sorted() == ranks)
    }

    @Test func aBusyConnectionWithAKeyIsNeverEvicted() {
        #expect(rank(hasShownKey: true, isBusy: true, seconds: 10_000) == nil)
    }

    /// Older connections with half a header are closed first. Otherwise a stream of them would close each new
    /// connection.
    @Test func aNewConnectionIsEvictedAfterAnOlderHalfHeader() throws {
        let newcomer = try #require(rank(hasShownKey: false, isBusy: false, seconds: 9))
        let halfHeader = try #require(rank(hasShownKey: false, isBusy: true, seconds: 10))
        #expect(halfHeader < newcomer)
    }

    private final class Door: Sendable {
        let connections: Connections
        private let closed = Mutex<[Int]>([])

        init(limit: Int, addressLimit: Int = 100, proxies: [String] = []) throws {
            connections = try Connections(
                limit: limit, addressLimit: addressLimit, proxies: ProxyAddresses(proxies))
        }

        func enter(_ name: Int, from address: String = "192.0.2.1") throws -> Connections.Place? {
            connections.enter(from: ClientAddress(try SocketAddress(ipAddress: address, port: 1))) {
                self.closed.withLock { $0.append(name) }
            }
        }

        var evicted: [Int] { closed.withLock { $0 } }
    }

    @Test func aNewConnectionEvictsTheFirstInRank() throws {
        let door = try Door(limit: 3)
        let places = try (1...3).compactMap { try door.enter($0) }
        for place in places { place.becomeBusy() }
        places[0].becomeKnown()
        #expect(try door.enter(4) != nil)
        #expect(door.evicted == [2] && door.connections.count == 3)
    }

    @Test func aNewConnectionIsRefusedIfAllOthersAreBusyWithAKey() throws {
        let door = try Door(limit: 2)
        let places = try (1...2).compactMap { try door.enter($0) }
        for place in places {
            place.becomeKnown()
            place.becomeBusy()
        }
        #expect(try door.enter(3) == nil)
        door.connections.leave(places[0])
        #expect(try door.enter(4) != nil)
        places[1].becomeIdle()
        #expect(try door.enter(5) != nil)
        #expect(door.evicted == [4])
    }

    @Test func anAddressHasOnlyItsShareOfTheConnections() throws {
        let door = try Door(limit: 10, addressLimit: 2, proxies: ["10.0.0.0/8"])
        let other = try #require(try door.enter(0, from: "192.0.2.2"))
        let first = try #require(try door.enter(1))
        _ = try door.enter(2)
        #expect(try door.enter(3) != nil)
        #expect(door.evicted == [1])
        // A connection that was already closed frees no second place.
        door.connections.leave(first)
        #expect(try door.enter(4) != nil)
        #expect(door.evicted == [1, 2])
        #expect(door.connections.count == 3)
        // A proxy's address stands for many clients.
        for name in 5...8 { #expect(try door.enter(name, from: "10.1.2.3") != nil) }
        #expect(door.evicted == [1, 2])
        door.connections.leave(other)
        #expect(door.connections.count == 6)
    }

    @Test func aNewConnectionIsRefusedIfAllOthersOfItsAddressAreBusyWithAKey() throws {
        let door = try Door(limit: 10, addressLimit: 1)
        let place = try #require(try door.enter(1))
        place.becomeKnown()
        place.becomeBusy()
        #expect(try door.enter(2) == nil)
        #expect(try door.enter(3, from: "192.0.2.2") != nil)
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("2001:db8::1", "2001:db8::2", true), ("2001:db8::1", "2001:db8:0:1::1", false),
    ])
    func clientsAreDistinguishedByTheirAddress(one: String, other: String, areOne: Bool) throws {
        func address(_ text: String) throws -> ClientAddress? {
            ClientAddress(try SocketAddress(ipAddress: text, port: 1))
        }
        #expect(try (address(one) == address(other)) == areOne)
    }

    @Test(arguments: [
        ("127.0.0.0/8", "127.200.0.1", true), ("127.0.0.0/8", "128.0.0.1", false), ("::1", "::1", true),
        ("::1", "::2", false), ("10.1.0.0/9", "10.127.0.1", true), ("10.0.0.0/9", "10.128.0.1", false),
        ("10.0.0.1", "::ffff:10.0.0.1", true), ("fd00::/8", "fd12::1", true), ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "192.0.2.1", true),
    ])
    func proxiesAreAddressesAndNetworks(text: String, address: String, isProxy: Bool) throws {
        let address = try #require(ClientAddress(try SocketAddress(ipAddress: address, port: 1)))
        #expect(try ProxyAddresses([text]).contain(address) == isProxy)
    }

    @Test(arguments: ["localhost", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::1/129", "10.0.0.0/8/8", "10.0.0"])
    func aMalformedAddressIsRefused(text: String) {
        #expect(throws: (any Error).self) { try ProxyAddresses([text]) }
    }
}
