import NIOCore
import ServiceLifecycle

/// Notifies the service manager that the receiver is ready, alive or stopping. Runs as a service beside the HTTP
/// server.
struct Heartbeat: Service {
    private let manager: ServiceManager
    private let readiness: Readiness
    private let eventLoops: any EventLoopGroup
    private let listening = AsyncStream<Never>.makeStream()

    /// How often the spool is probed until it is ready, and how often a stalled disk is checked.
    private static let pause = Duration.seconds(1)

    init(for manager: ServiceManager, readiness: Readiness, eventLoops: any EventLoopGroup) {
        self.manager = manager
        self.readiness = readiness
        self.eventLoops = eventLoops
    }

    /// Called once the server listens.
    @Sendable func serverListens() { listening.continuation.finish() }

    /// Runs until the process stops.
    func run() async throws {
        if manager.isListening {
            await cancelWhenGracefulShutdown {
                for await _ in listening.stream {}
                await becomeReady()
                await stayAlive()
            }
        }
        try? await gracefulShutdown()
        await manager.stop()
    }

    /// Returns when a batch of a known device can be accepted: the spool has room, and a write to it has just succeeded.
    private func becomeReady() async {
        while !Task.isCancelled {
            do throws(Rejection) {
                try await readiness.prove()
                return await manager.becomeReady()
            } catch {
                await manager.notify(status: "Not ready: " + error.sentence)
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Pings the watchdog twice per timeout, while every event loop responds and no commit is stalled.
    ///
    /// A commit is stalled when the disk holds it for longer than INGEST_COMMIT_SECONDS. A disk that fails at once does
    /// not stop the pings, because batches are then answered with 503.
    private func stayAlive() async {
        guard let watchdog = manager.watchdog else { return }
        var wasStalled = false
        while !Task.isCancelled {
            for loop in eventLoops.makeIterator() { try? await loop.submit {}.get() }
            let isStalled = readiness.groupCommit.isStalled
            if isStalled != wasStalled {
                await manager.notify(status: isStalled ? "The spool's disk does not answer" : nil)
                wasStalled = isStalled
            }
            if !isStalled { await manager.signOfLife() }
            try? await Task.sleep(for: isStalled ? min(Self.pause, watchdog / 2) : watchdog / 2)
        }
    }
}

extension Rejection {
    /// The rejection's detail in one line.
    fileprivate var sentence: String {
        if case .sentence(let sentence) = detail { sentence } else { "\(status)" }
    }
}
