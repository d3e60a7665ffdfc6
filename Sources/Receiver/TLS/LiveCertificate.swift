import NIOSSL
import Synchronization

/// The certificate and key that new connections are served with; may be replaced while connections come.
final class LiveCertificate: Sendable {
    private let context: Mutex<NIOSSLContext>

    init(_ context: NIOSSLContext) { self.context = Mutex(context) }

    var current: NIOSSLContext { context.withLock { $0 } }

    /// Serves connections that come from now on with this one; those that are open go on as they began.
    func replace(with replacement: NIOSSLContext) { context.withLock { $0 = replacement } }
}
