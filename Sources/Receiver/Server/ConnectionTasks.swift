import NIOCore
import ServiceLifecycle
import Synchronization

/// The tasks of the open connections; as a service, it ends when all connections have ended after a stop. A task whose
/// connection has ended may still search the devices; no stop waits for it.
///
/// They are no children of the server's task group: a child's end takes time in proportion to the number of children, so
/// among 10,000 connections a millisecond during which no connection is accepted.
final class ConnectionTasks: Service {
    private struct State {
        var open = 0
        var end: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Starts a connection's task, and does not wait for it.
    func start(on channel: any Channel, _ body: @escaping @Sendable () async -> Void) {
        state.withLock { $0.open += 1 }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { state in
                state.open -= 1
                return state.open == 0 ? state.end.take() : nil
            }?.resume()
        }
        Task { await body() }
    }

    /// Waits for the stop, and then for the connections. No task may start after the stop.
    func run() async throws {
        try await gracefulShutdown()
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.open > 0 { state.end = continuation }
                return state.open == 0
            }
            if isOver { continuation.resume() }
        }
    }
}
