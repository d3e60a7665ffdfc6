import Logging
import Synchronization

/// A log message that clients can cause any number of times: logged once per interval, with the number of repetitions.
final class RateLimitedLogger: Sendable {
    private struct State {
        var loggedAt: ContinuousClock.Instant?
        var suppressed = 0
    }

    private let logger: Logger
    private let interval: Duration
    private let state = Mutex(State())

    init(_ logger: Logger, every interval: Duration = .seconds(10)) {
        self.logger = logger
        self.interval = interval
    }

    /// Logs the message as a warning, or counts it for the next one. Texts of clients belong in the metadata, where they
    /// are quoted.
    func warn(
        _ message: @autoclosure () -> String, metadata: @autoclosure () -> Logger.Metadata = [:],
        now: ContinuousClock.Instant = .now
    ) {
        let suppressed = state.withLock { state -> Int? in
            if let loggedAt = state.loggedAt, loggedAt.duration(to: now) < interval {
                state.suppressed += 1
                return nil
            }
            defer { state = State(loggedAt: now) }
            return state.suppressed
        }
        guard let suppressed else { return }
        logger.warning(
            "\(message())\(suppressed > 0 ? "; \(suppressed) more since the last such line" : "")", metadata: metadata()
        )
    }
}
