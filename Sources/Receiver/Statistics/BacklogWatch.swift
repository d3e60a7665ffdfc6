import ServiceLifecycle
import Synchronization
import Time

/// Samples the backlog once a minute, so that the page can show how it grew. Runs as a service beside the HTTP server.
final class BacklogWatch: Service {
    private static let pause = Duration.seconds(60)

    private let spool: SpoolStatisticsSource
    /// The wall clock.
    private let now: @Sendable () -> Timestamp
    private let seen = Mutex(BacklogHistory())

    init(_ spool: SpoolStatisticsSource, now: @escaping @Sendable () -> Timestamp) {
        self.spool = spool
        self.now = now
    }

    var history: BacklogHistory { seen.withLock { $0 } }

    /// Runs until the process stops. A minute in which the spool cannot be read stays a gap.
    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                if let statistics = try? await spool.statistics() {
                    seen.withLock { $0.append(.init(statistics, now: now())) }
                }
                try? await Task.sleep(for: Self.pause)
            }
        }
    }
}
