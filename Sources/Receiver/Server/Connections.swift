import NIOCore
import Synchronization

/// The open connections, limited in number (invariant 11), as a whole and from each address.
///
/// At a limit a new connection takes the place of the one whose `ConnectionRank` is least, and some more places are freed.
/// If no connection may be closed, the new one is turned away.
final class Connections: Sendable {
    /// A connection's place; `leave` gives it up.
    final class Place: Sendable {
        fileprivate let number: Int
        fileprivate let address: ClientAddress?
        /// Closes the connection, unless it must not be closed any more.
        fileprivate let evict: @Sendable () -> Void
        private let hasShownKey = Atomic(false)
        private let isBusy = Atomic(false)
        /// When it became busy or idle, in nanoseconds of the monotonic clock.
        private let since = Atomic(NIODeadline.now().uptimeNanoseconds)

        fileprivate init(number: Int, address: ClientAddress?, evict: @escaping @Sendable () -> Void) {
            self.number = number
            self.address = address
            self.evict = evict
        }

        func becomeBusy() { change(isBusy: true) }

        func becomeIdle() { change(isBusy: false) }

        /// The client has shown a valid key.
        func becomeKnown() { hasShownKey.store(true, ordering: .relaxed) }

        private func change(isBusy: Bool) {
            since.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
            self.isBusy.store(isBusy, ordering: .relaxed)
        }

        fileprivate func rank(at now: NIODeadline) -> ConnectionRank? {
            ConnectionRank(
                hasShownKey: hasShownKey.load(ordering: .relaxed), isBusy: isBusy.load(ordering: .relaxed),
                since: .uptimeNanoseconds(since.load(ordering: .relaxed)), now: now)
        }
    }

    private struct State {
        var places: [Int: Place] = [:]
        /// How many of them each limited address has.
        var counts: [ClientAddress: Int] = [:]
        var nextNumber = 0

        mutating func remove(_ place: Place) {
            guard places.removeValue(forKey: place.number) != nil, let address = place.address else { return }
            let rest = (counts[address] ?? 1) - 1
            counts[address] = rest > 0 ? rest : nil
        }

        mutating func makePlace(_ address: ClientAddress?, _ evict: @escaping @Sendable () -> Void) -> Place {
            let place = Place(number: nextNumber, address: address, evict: evict)
            nextNumber += 1
            places[place.number] = place
            if let address { counts[address, default: 0] += 1 }
            return place
        }

        /// Frees the places of those that go first. Several at once, since finding them takes a pass over all.
        mutating func free(upTo count: Int, where isCandidate: (Place) -> Bool) -> [Place] {
            let now = NIODeadline.now()
            let ranked = places.values.filter(isCandidate).compactMap { place in
                place.rank(at: now).map { (rank: $0, place: place) }
            }
            let freed = ranked.sorted { $0.rank < $1.rank }.prefix(count).map(\.place)
            for place in freed { remove(place) }
            return freed
        }
    }

    private let limit: Int
    private let addressLimit: Int
    /// Addresses without a limit of their own.
    private let proxies: ProxyAddresses
    private let state = Mutex(State())
    private let cut = Atomic(0)
    private let strangerTurns = Mutex<[ObjectIdentifier: NIOLoopBound<StrangerTurns>]>([:])

    init(limit: Int, addressLimit: Int, proxies: ProxyAddresses) {
        self.limit = limit
        self.addressLimit = addressLimit
        self.proxies = proxies
    }

    /// The number of open connections.
    var count: Int { state.withLock { $0.places.count } }

    /// The number of connections that a stop has cut, since their clients did not let them end.
    var cutCount: Int { cut.load(ordering: .relaxed) }

    /// Takes a place; returns nil when there is none.
    ///
    /// - Parameter evict: closes the connection unless it must not be closed any more; called on any thread.
    func enter(from address: ClientAddress?, evict: @escaping @Sendable () -> Void) -> Place? {
        let limited = address.flatMap { proxies.contain($0) ? nil : $0 }
        let (place, evicted) = state.withLock { state -> (Place?, [Place]) in
            var evicted: [Place] = []
            if let limited, state.counts[limited, default: 0] >= addressLimit {
                evicted = state.free(upTo: 1 + addressLimit / 64) { $0.address == limited }
                guard !evicted.isEmpty else { return (nil, []) }
            }
            if state.places.count >= limit { evicted += state.free(upTo: 1 + limit / 64) { _ in true } }
            guard state.places.count < limit else { return (nil, evicted) }
            return (state.makePlace(limited, evict), evicted)
        }
        for place in evicted { place.evict() }
        return place
    }

    func leave(_ place: Place) { state.withLock { $0.remove(place) } }

    /// The turns of the connections of an event loop, which calls this.
    func strangerTurns(of eventLoop: any EventLoop) -> StrangerTurns {
        strangerTurns.withLock { all in
            let known = all[ObjectIdentifier(eventLoop)]
            let bound = known ?? NIOLoopBound(StrangerTurns(eventLoop), eventLoop: eventLoop)
            all[ObjectIdentifier(eventLoop)] = bound
            return bound.value
        }
    }

    /// Counts a connection that a stop cuts.
    func countCut() { cut.add(1, ordering: .relaxed) }
}
