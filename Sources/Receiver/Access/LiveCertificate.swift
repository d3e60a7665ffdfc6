import NIOSSL
import Synchronization

/// The certificate and key that new connections are served with; may be replaced while connections come.
final class LiveCertificate: Sendable {
    /// What has been read from a pair of files.
    struct Pair: Sendable {
        let context: NIOSSLContext
        let validity: CertificateValidity
    }

    private let pair: Mutex<Pair>

    init(_ pair: Pair) { self.pair = Mutex(pair) }

    var current: Pair { pair.withLock { $0 } }

    /// Serves connections that come from now on with this one; those that are open go on as they began.
    func replace(with replacement: Pair) { pair.withLock { $0 = replacement } }
}
