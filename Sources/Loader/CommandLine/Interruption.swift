import Dispatch
import Glibc
import Synchronization

/// The wish that the work at hand ends soon: SIGTERM or SIGINT.
///
/// Nothing is lost however abruptly the loader ends, as progress is committed with the rows; this makes it orderly.
final class Interruption: Sendable {
    /// A statement that takes longer than this is left to the server, which rolls it back.
    private static let patience = DispatchTimeInterval.seconds(5)

    private let requested = Atomic(false)
    private let wake = DispatchSemaphore(value: 0)

    var isRequested: Bool { requested.load(ordering: .relaxed) }

    func request() {
        requested.store(true, ordering: .relaxed)
        wake.signal()
    }

    /// Waits, but not beyond a request.
    func pause(_ duration: Duration) {
        guard !isRequested else { return }
        _ = wake.wait(timeout: .now() + .milliseconds(Int(duration / .milliseconds(1))))
    }

    /// Turns SIGTERM and SIGINT into requests as long as the returned sources live.
    func watchSignals() -> [any DispatchSourceSignal] {
        [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                if isRequested { _exit(0) }
                request()
                DispatchQueue.global().asyncAfter(deadline: .now() + Self.patience) { _exit(0) }
            }
            source.resume()
            return source
        }
    }
}
