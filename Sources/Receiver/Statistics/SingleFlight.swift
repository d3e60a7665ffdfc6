// Statistics: backlog, readiness and the database's figures, each within a bounded time.
// Begin here.
// Uses Access, Commit, HTTP, Ledger, Postgres, Spool, Text, Time.

import Synchronization

/// Runs a call that may block, such as one to a failing disk, with a timeout.
///
/// Only one call runs at a time. Callers that arrive meanwhile share it, and each waits at most for `timeout`. Callers
/// beyond `maximumWaiting` do not wait (invariant 11).
final class SingleFlight<Value: Sendable>: Sendable {
    private struct State {
        var isRunning = false
        var waiting: [Int: Waiter] = [:]
        var next = 0
    }

    private struct Waiter {
        let continuation: CheckedContinuation<Value?, Never>
        /// Ends the wait at the timeout.
        var timer: Task<Void, Never>?
    }

    private static var maximumWaiting: Int { 1024 }

    private let timeout: Duration
    private let call: @Sendable () async -> Value?
    private let state = Mutex(State())

    init(timeout: Duration, _ call: @escaping @Sendable () async -> Value?) {
        self.timeout = timeout
        self.call = call
    }

    /// The result of the call; nil when it has none, or on a timeout.
    func value(within limit: Duration? = nil) async -> Value? {
        let timeout = min(limit ?? self.timeout, self.timeout)
        return await withCheckedContinuation { continuation in
            let (number, isFirst) = state.withLock { (state) -> (Int?, Bool) in
                guard state.waiting.count < Self.maximumWaiting else { return (nil, false) }
                state.waiting[state.next] = Waiter(continuation: continuation)
                defer { (state.next, state.isRunning) = (state.next + 1, true) }
                return (state.next, !state.isRunning)
            }
            guard let number else { return continuation.resume(returning: nil) }
            if isFirst {
                Task {
                    let value = await call()
                    resumeAll(value)
                }
            }
            let timer = Task {
                try? await Task.sleep(for: timeout)
                state.withLock { $0.waiting.removeValue(forKey: number) }?.continuation.resume(returning: nil)
            }
            state.withLock { $0.waiting[number]?.timer = timer }
        }
    }

    private func resumeAll(_ value: Value?) {
        let waiting = state.withLock { state in
            defer { state = State(next: state.next) }
            return state.waiting.values
        }
        for waiter in waiting {
            waiter.timer?.cancel()
            waiter.continuation.resume(returning: value)
        }
    }
}
