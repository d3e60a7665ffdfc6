import Synchronization

/// The bytes of bodies that are held at the same time, which are bounded (invariant 11).
final class InFlight: Sendable {
    private let limitBytes: Int
    private let held = Mutex(0)

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// Reserves room for `bytes`; false when there is none.
    func reserve(_ bytes: Int) -> Bool {
        held.withLock { held in
            guard held + bytes <= limitBytes else { return false }
            held += bytes
            return true
        }
    }

    func release(_ bytes: Int) {
        held.withLock { $0 -= bytes }
    }
}
