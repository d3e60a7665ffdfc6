import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOSSL

/// Adds TLS to a server's connections, each with the certificate that is live when the connection arrives.
struct TLSChannel<Base: ServerChildChannel>: ServerChildChannel {
    let base: Base
    let certificate: LiveCertificate
    /// How long a handshake may take.
    let handshake: TimeAmount
    let failures: RateLimitedLogger

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(NIOSSLServerHandler(context: certificate.current.context))
            try pipeline.addHandler(HandshakeGuard(limit: handshake, failures: failures))
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: Base.Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}
