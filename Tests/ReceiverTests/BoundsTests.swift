import Logging
import Synchronization
import Testing

@testable import Receiver

/// Every queue, buffer and wait is bounded (invariant 11).
struct BoundsTests {
    @Test func requestsAndBytesInFlightAreBounded() {
        let inFlight = ConcurrencyLimiter(limitRequests: 2, limitBytes: 100)
        #expect(inFlight.enter() && inFlight.enter() && !inFlight.enter())
        #expect(inFlight.reserve(60) && !inFlight.reserve(41) && inFlight.reserve(40))
        inFlight.leave(60)
        #expect(inFlight.enter() && inFlight.reserve(60) && !inFlight.reserve(1))
    }

    @Test func aRepeatedMessageIsLoggedOncePerIntervalWithItsCount() {
        let lines = Mutex<[String]>([])
        let logger = Logger(label: "test") { _ in Recorder(lines: { line in lines.withLock { $0.append(line) } }) }
        let message = RateLimitedLogger(logger, every: .seconds(10))
        let start = ContinuousClock.now
        for second in [0, 1, 9, 10, 11, 25] { message.warn("no key", now: start + .seconds(second)) }
        #expect(
            lines.withLock { $0 } == [
                "no key", "no key; 2 more since the last such line",
                "no key; 1 more since the last such line",
            ])
    }

    private struct Recorder: LogHandler {
        let lines: @Sendable (String) -> Void
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(lines: @escaping @Sendable (String) -> Void) { self.lines = lines }

        subscript(metadataKey key: String) -> Logger.MetadataValue? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines("\(event.message)") }
    }
}
