import Dispatch
import Glibc

/// Runs an action at each SIGHUP, one after another, on a thread that may block, as long as this object lives.
final class SIGHUPHandler {
    private let source: any DispatchSourceSignal

    init(_ action: @escaping @Sendable () -> Void) {
        source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: DispatchQueue(label: "hang-up"))
        source.setEventHandler(handler: action)
        source.resume()
    }

    deinit { source.cancel() }
}
