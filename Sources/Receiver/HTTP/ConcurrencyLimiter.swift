import Synchronization

/// Bounds the requests that are worked on at once, and the bytes of their bodies (invariant 11).
final class ConcurrencyLimiter: Sendable {
    private struct Held {
        var requests = 0
        var bytes = 0
    }

    private let limitRequests: Int
    private let limitBytes: Int
    private let held = Mutex(Held())

    init(limitRequests: Int, limitBytes: Int) {
        self.limitRequests = limitRequests
        self.limitBytes = limitBytes
    }

    /// Takes a place for a request; returns false when there is none. `leave` gives the place back.
    func enter() -> Bool {
        held.withLock { held in
            guard held.requests < limitRequests else { return false }
            held.requests += 1
            return true
        }
    }

    /// Gives back a request's place and its bytes.
    func leave(_ bytes: Int) {
        held.withLock { held in
            held.requests -= 1
            held.bytes -= bytes
        }
    }

    /// Reserves room for `bytes` more; returns false when there is none.
    func reserve(_ bytes: Int) -> Bool {
        held.withLock { held in
            guard held.bytes + bytes <= limitBytes else { return false }
            held.bytes += bytes
            return true
        }
    }
}
