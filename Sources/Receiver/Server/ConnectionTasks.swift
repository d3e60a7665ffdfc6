import ServiceLifecycle
import Synchronization

/// The tasks of the open connections; as a service, it ends when all of them have ended after a stop.
///
/// They are no children of the server's task group: a child's end takes time in proportion to the number of children, so
/// among 10,000 connections a millisecond during which no connection is accepted.
final class ConnectionTasks: Service {
    private struct State {
        var running = 0
        var end: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Starts a connection's task, and does not wait for it.
    func start(_ body: @escaping @Sendable () async -> Void) {
        state.withLock { $0.running += 1 }
        Task {
            await body()
            state.withLock { state in
                state.running -= 1
                return state.running == 0 ? state.end.take() : nil
            }?.resume()
        }
    }

    /// Waits for the stop, and then for the tasks. No task may start after the stop.
    func run() async throws {
        try await gracefulShutdown()
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.running > 0 { state.end = continuation }
                return state.running == 0
            }
            if isOver { continuation.resume() }
        }
    }
}
