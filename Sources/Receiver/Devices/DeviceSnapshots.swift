import Commit
import Ledger
import ServiceLifecycle
import Synchronization
import Time

/// The newest snapshot of all devices. It is fresh for two seconds, or longer if it took long; then a request renews it.
///
/// In a small fleet, the request waits for the renewal. In a large one, it gets the snapshot before, and a service
/// renews the snapshot from time to time, so that it is never old.
final class DeviceSnapshots: Service {
    private struct Taken {
        let devices: DeviceSnapshot
        let at: ContinuousClock.Instant
        /// How long it took.
        let duration: Duration
    }

    /// A fleet of more devices is a large one.
    static let largeFleet = 5_000
    /// The renewal of half a million devices takes some seconds while batches arrive.
    private static let timeout = Duration.seconds(10)
    /// A large fleet's snapshot is not used for longer, even if it cannot be renewed.
    private static let longestUse = Duration.seconds(600)

    private let groupCommit: GroupCommit
    private let largeFleet: Int
    private let clock: @Sendable () -> ContinuousClock.Instant
    private let newest: Newest
    private let renewal: SingleFlight<DeviceSnapshot>

    /// The box for the closure of `renewal` and for `current`.
    private final class Newest: Sendable {
        let taken = Mutex<Taken?>(nil)
    }

    /// - Parameter now: the wall clock.
    init(
        groupCommit: GroupCommit, silentAfterSeconds: Int, now: @escaping @Sendable () -> Timestamp,
        largeFleet: Int = largeFleet, clock: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.groupCommit = groupCommit
        self.largeFleet = largeFleet
        self.clock = clock
        let newest = Newest()
        self.newest = newest
        let source = SnapshotSource(groupCommit: groupCommit)
        renewal = SingleFlight(timeout: Self.timeout) {
            let start = clock()
            let devices = await source.take { SilenceRule(afterSeconds: silentAfterSeconds, now: now()) }
            if let devices {
                let at = clock()
                newest.taken.withLock { $0 = Taken(devices: devices, at: at, duration: start.duration(to: at)) }
            }
            return devices
        }
    }

    /// The devices as of a moment ago; in a large fleet, as of some minutes ago at most.
    func current() async throws(Rejection) -> DeviceSnapshot {
        if let taken = newest.taken.withLock({ $0 }) {
            let age = taken.at.duration(to: clock())
            if age < max(.seconds(2), taken.duration * 10) { return taken.devices }
            if taken.devices.count > largeFleet, age < Self.longestUse {
                Task { await renewal.value() }
                return taken.devices
            }
        }
        guard let devices = await renewal.value() else { throw Rejection.ledgerTimeout }
        return devices
    }

    /// Renews a large fleet's snapshot until the process stops, in one percent of the time at most.
    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                if let devices = await groupCommit.query({ $0.deviceCount }), devices > largeFleet {
                    _ = await renewal.value()
                }
                let duration = newest.taken.withLock { $0?.duration } ?? .zero
                try? await Task.sleep(for: min(max(.seconds(30), duration * 100), .seconds(300)))
            }
        }
    }
}

/// Takes snapshots. An actor on its own queue, since it sorts the names of all devices.
private actor SnapshotSource {
    /// How long batches wait for a piece of the work.
    private static let piece = Duration.microseconds(500)

    private let executor = BlockingExecutor(label: "devices.snapshot")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let groupCommit: GroupCommit
    private var previous: DeviceSnapshot?

    init(groupCommit: GroupCommit) { self.groupCommit = groupCommit }

    /// A new snapshot, nil when the ledger did not answer in time.
    func take(_ silence: @Sendable () -> SilenceRule) async -> DeviceSnapshot? {
        var lastSeen: [MinuteLedger.LastSeen] = []
        var number: Int? = 0
        while let first = number {
            guard let (found, next) = await groupCommit.query({ $0.lastSeen(from: first, for: Self.piece) }) else {
                return nil
            }
            lastSeen += found
            number = next
        }
        let taken = DeviceSnapshot(lastSeen, silence(), after: previous)
        previous = taken
        return taken
    }
}
