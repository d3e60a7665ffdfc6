import NIOCore
import ServiceLifecycle

/// Tells the service manager that batches are taken, that the process is alive, and that it stops. A service beside the
/// HTTP server.
struct Heartbeat: Service {
    private let manager: ServiceManager
    private let readiness: Readiness
    private let eventLoops: any EventLoopGroup
    private let listening = AsyncStream<Never>.makeStream()

    /// How often the spool is tried until a batch can be taken, and how often a disk that hangs is looked at.
    private static let pause = Duration.seconds(1)

    init(for manager: ServiceManager, readiness: Readiness, eventLoops: any EventLoopGroup) {
        self.manager = manager
        self.readiness = readiness
        self.eventLoops = eventLoops
    }

    /// To be called once the server listens.
    @Sendable func serverListens() { listening.continuation.finish() }

    /// Runs until the process is to stop.
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

    /// Returns when a batch can be taken: the spool has room, and was just written.
    private func becomeReady() async {
        while !Task.isCancelled {
            do throws(Rejection) {
                try await readiness.prove()
                return await manager.becomeReady()
            } catch {
                await manager.tell(status: "Not ready: " + error.sentence)
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    /// Gives a sign of life twice in the manager's time while every event loop turns and the disk has kept nobody for
    /// longer than INGEST_COMMIT_SECONDS. A disk that fails at once is a sign of life too: it is answered for with 503.
    private func stayAlive() async {
        guard let watchdog = manager.watchdog else { return }
        var wasStalled = false
        while !Task.isCancelled {
            for loop in eventLoops.makeIterator() { try? await loop.submit {}.get() }
            let isStalled = readiness.groupCommit.isStalled
            if isStalled != wasStalled {
                await manager.tell(status: isStalled ? "The spool's disk does not answer" : nil)
                wasStalled = isStalled
            }
            if !isStalled { await manager.signOfLife() }
            try? await Task.sleep(for: isStalled ? min(Self.pause, watchdog / 2) : watchdog / 2)
        }
    }
}

extension Rejection {
    /// The detail in one line.
    fileprivate var sentence: String {
        if case .sentence(let sentence) = detail { sentence } else { "\(status)" }
    }
}
