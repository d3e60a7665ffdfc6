import CLinux
import Dispatch
import Glibc

/// A named thread that waits until it is woken. A thread of its own, because disk calls block, and must not block an
/// event loop or the cooperative pool.
final class WorkerThread: Sendable {
    private let name: String
    private let signal = DispatchSemaphore(value: 0)

    /// - Parameter name: as `top -H` shows it, 15 bytes at most.
    init(name: String) { self.name = name }

    func start(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(Body(body)).toOpaque())
        precondition(result == 0, "cannot start the thread \(name): error \(result)")
        _ = pthread_setname_np(thread, name)
        pthread_detach(thread)
    }

    func wake() { signal.signal() }

    /// Blocks the thread until it is woken, or returns at once if it was woken since it last waited.
    func wait() { signal.wait() }

    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }
}
