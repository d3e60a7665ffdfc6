import Foundation
import Synchronization
import Testing

/// Runs a suite's tests on threads of their own, a few of them at a time.
///
/// The tests block: they wait for processes and sockets. The cooperative pool has one thread for each core, so on a
/// machine with two cores two blocked tests would stop all others while the processor idles.
struct OwnThread: SuiteTrait, TestTrait, TestScoping {
    /// Applies to each of the suite's tests, not to the suite as a whole.
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        await Self.places.take()
        defer { Self.places.giveBack() }
        try await withTaskExecutorPreference(ThreadExecutor()) { try await function() }
    }

    /// Enough tests at once to keep two cores busy.
    private static let places = Places(6)
}

extension Trait where Self == OwnThread {
    static var ownThread: Self { Self() }
}

/// Runs each job on a thread of its own.
private final class ThreadExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// A semaphore that tasks wait for.
private final class Places: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(free: count)) }

    func take() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.free > 0 else {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func giveBack() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
