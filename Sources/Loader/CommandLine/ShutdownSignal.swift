import Dispatch
import Glibc
import Synchronization

/// A request to stop the present work soon, by SIGTERM or SIGINT.
///
/// No data is lost even if the loader ends abruptly, because progress is committed with the rows. This makes the end
/// orderly.
final class ShutdownSignal: Sendable {
    /// Timeout for an orderly end. The process then exits, and the server rolls back a statement that is still running.
    private static let timeout = DispatchTimeInterval.seconds(5)

    private static let signals = [SIGTERM, SIGINT]

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
        // Each thread that wakes wakes the next one.
        if wake.wait(timeout: .now() + .milliseconds(Int(duration / .milliseconds(1)))) == .success { wake.signal() }
    }

    /// Turns SIGTERM and SIGINT into requests as long as the returned sources are kept. Call it on the main thread, before
    /// there are others.
    func watchSignals() -> [any DispatchSourceSignal] {
        // Blocked, not ignored: a source reads signals that are pending, and ignoring a signal would drop a pending one.
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in Self.signals { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        return Self.signals.map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                if isRequested { _exit(0) }
                request()
                DispatchQueue.global().asyncAfter(deadline: .now() + Self.timeout) { _exit(0) }
            }
            source.resume()
            return source
        }
    }
}
