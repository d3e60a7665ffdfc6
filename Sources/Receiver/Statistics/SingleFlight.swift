import Synchronization

/// Runs a call that may block, such as one to a failing disk, with a timeout.
///
/// Only one call runs at a time. Callers that arrive meanwhile share it, and each waits at most for `timeout`
/// (invariant 11).
final class SingleFlight<Value: Sendable>: Sendable {
    private struct State {
        var isRunning = false
        var waiting: [Int: CheckedContinuation<Value?, Never>] = [:]
        var next = 0
    }

    private let timeout: Duration
    private let call: @Sendable () async -> Value?
    private let state = Mutex(State())

    init(timeout: Duration, _ call: @escaping @Sendable () async -> Value?) {
        self.timeout = timeout
        self.call = call
    }

    /// The result of the call; nil when it has none, or on a timeout.
    func value() async -> Value? {
        await withCheckedContinuation { continuation in
            let (number, isFirst) = state.withLock { state in
                state.waiting[state.next] = continuation
                defer { (state.next, state.isRunning) = (state.next + 1, true) }
                return (state.next, !state.isRunning)
            }
            if isFirst {
                Task {
                    let value = await call()
                    resumeAll(value)
                }
            }
            Task {
                try? await Task.sleep(for: timeout)
                state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: nil)
            }
        }
    }

    private func resumeAll(_ value: Value?) {
        let waiting = state.withLock { state in
            defer { state = State(next: state.next) }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume(returning: value) }
    }
}
