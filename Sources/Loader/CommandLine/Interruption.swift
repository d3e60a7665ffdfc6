import Dispatch
import Glibc
import Synchronization

/// A request to stop the present work soon, by SIGTERM or SIGINT.
///
/// No data is lost even if the loader ends abruptly, because progress is committed with the rows. This makes the end
/// orderly.
final class Interruption: Sendable {
    /// Timeout for an orderly end. The process then exits, and the server rolls back a statement that is still running.
    private static let patience = DispatchTimeInterval.seconds(5)

    private let requested = Atomic(false)
    private let wake = DispatchSemaphore(value: 0)

    var isRequested: Bool { requested.load(ordering: .relaxed) }

    func request() {
        requested.store(true, ordering: .relaxed)
        wake.signal()
    }

    /// Waits for the duration, or until a request arrives.
    func pause(_ duration: Duration) {
        guard !isRequested else { return }
        _ = wake.wait(timeout: .now() + .milliseconds(Int(duration / .milliseconds(1))))
    }

    /// Turns SIGTERM and SIGINT into requests as long as the returned sources are kept.
    func watchSignals() -> [any DispatchSourceSignal] {
        [SIGTERM, SIGINT].map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                if isRequested { _exit(0) }
                request()
                DispatchQueue.global().asyncAfter(deadline: .now() + Self.patience) { _exit(0) }
            }
            // Not earlier: a signal that is ignored before the source can take it is lost.
            source.setRegistrationHandler { signal(number, SIG_IGN) }
            source.resume()
            return source
        }
    }
}
