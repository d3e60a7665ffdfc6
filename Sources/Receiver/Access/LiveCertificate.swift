import NIOSSL
import Synchronization

/// The certificate and key for new connections; they may be replaced while connections arrive.
final class LiveCertificate: Sendable {
    /// A certificate and its key, as read from a pair of files.
    struct Pair: Sendable {
        let context: NIOSSLContext
        let validity: CertificateValidity
    }

    private let pair: Mutex<Pair>

    init(_ pair: Pair) { self.pair = Mutex(pair) }

    var current: Pair { pair.withLock { $0 } }

    /// Uses this pair for connections that arrive from now on; open connections keep theirs.
    func replace(with replacement: Pair) { pair.withLock { $0 = replacement } }
}
