import NIOCore
import Synchronization

/// The open connections, limited in number (invariant 11).
///
/// At the limit a new connection takes the place of one that has been idle for longest, and some more places are freed. So idle clients, however many,
/// do not keep other clients out. If all connections are busy, the new one is turned away.
final class Connections: Sendable {
    /// A connection's place; `leave` gives it up.
    final class Place: Sendable {
        fileprivate let number: Int
        /// Closes the connection, unless it has become busy meanwhile.
        fileprivate let evict: @Sendable () -> Void
        /// Start of the idle time, in nanoseconds of the monotonic clock; 0 while the connection is busy.
        private let idleSince = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)

        fileprivate init(number: Int, evict: @escaping @Sendable () -> Void) {
            self.number = number
            self.evict = evict
        }

        func becomeBusy() { idleSince.store(0, ordering: .relaxed) }

        func becomeIdle() { idleSince.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed) }

        fileprivate var idle: UInt64? {
            let since = idleSince.load(ordering: .relaxed)
            return since == 0 ? nil : since
        }
    }

    private struct State {
        var places: [Int: Place] = [:]
        var nextNumber = 0
    }

    let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// The number of open connections.
    var count: Int { state.withLock { $0.places.count } }

    /// Takes a place; returns nil when there is none.
    ///
    /// - Parameter evict: closes the connection if it is still idle; called on any thread.
    func enter(evict: @escaping @Sendable () -> Void) -> Place? {
        let (place, evicted) = state.withLock { state -> (Place?, [Place]) in
            let evicted = state.places.count < limit ? [] : Self.longestIdle(state.places, upTo: 1 + limit / 64)
            for place in evicted { state.places[place.number] = nil }
            guard state.places.count < limit else { return (nil, []) }
            let place = Place(number: state.nextNumber, evict: evict)
            state.nextNumber += 1
            state.places[place.number] = place
            return (place, evicted)
        }
        for place in evicted { place.evict() }
        return place
    }

    func leave(_ place: Place) {
        state.withLock { $0.places[place.number] = nil }
    }

    /// Returns several at once, since finding them takes a pass over all connections.
    private static func longestIdle(_ places: [Int: Place], upTo count: Int) -> [Place] {
        let idle = places.values.compactMap { place in place.idle.map { (since: $0, place: place) } }
        return idle.sorted { $0.since < $1.since }.prefix(count).map(\.place)
    }
}
