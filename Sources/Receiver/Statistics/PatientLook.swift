import Synchronization

/// Runs a call that may block, such as one to a failing disk, with a timeout.
///
/// Only one call runs at a time. Callers that arrive meanwhile share it, and each waits at most for `patience`
/// (invariant 11).
final class PatientLook<Value: Sendable>: Sendable {
    private struct State {
        var isLooking = false
        var waiting: [Int: CheckedContinuation<Value?, Never>] = [:]
        var next = 0
    }

    private let patience: Duration
    private let look: @Sendable () async -> Value?
    private let state = Mutex(State())

    init(patience: Duration, _ look: @escaping @Sendable () async -> Value?) {
        self.patience = patience
        self.look = look
    }

    /// The result of the call; nil when it has none, or on a timeout.
    func value() async -> Value? {
        await withCheckedContinuation { continuation in
            let (number, isFirst) = state.withLock { state in
                state.waiting[state.next] = continuation
                defer { (state.next, state.isLooking) = (state.next + 1, true) }
                return (state.next, !state.isLooking)
            }
            if isFirst {
                Task {
                    let value = await look()
                    answerAll(value)
                }
            }
            Task {
                try? await Task.sleep(for: patience)
                state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: nil)
            }
        }
    }

    private func answerAll(_ value: Value?) {
        let waiting = state.withLock { state in
            defer { state = State(next: state.next) }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume(returning: value) }
    }
}
