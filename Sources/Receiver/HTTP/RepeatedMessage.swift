import Logging
import Synchronization

/// A log message that clients can cause any number of times: logged once per interval, with the number of repetitions.
final class RepeatedMessage: Sendable {
    private struct State {
        var told: ContinuousClock.Instant?
        var untold = 0
    }

    private let logger: Logger
    private let interval: Duration
    private let state = Mutex(State())

    init(_ logger: Logger, every interval: Duration = .seconds(10)) {
        self.logger = logger
        self.interval = interval
    }

    /// Logs the message as a warning, or counts it for the next one.
    func warn(_ message: @autoclosure () -> String, now: ContinuousClock.Instant = .now) {
        let untold = state.withLock { state -> Int? in
            if let told = state.told, told.duration(to: now) < interval {
                state.untold += 1
                return nil
            }
            defer { state = State(told: now) }
            return state.untold
        }
        guard let untold else { return }
        logger.warning("\(message())\(untold > 0 ? "; \(untold) more since the last such line" : "")")
    }
}
