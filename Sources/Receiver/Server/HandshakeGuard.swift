import NIOCore
import NIOSSL
import NIOTLS

/// Closes connections whose TLS handshake times out, and logs failed handshakes.
///
/// The timeout applies however slowly or quickly the bytes arrive. The handler sits directly behind the TLS handler,
/// and removes itself when the handshake is done.
final class HandshakeGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let limit: TimeAmount
    private let failures: RateLimitedLogger
    private var timer: Scheduled<Void>?

    init(limit: TimeAmount, failures: RateLimitedLogger) {
        self.limit = limit
        self.failures = failures
    }

    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: limit) {
            self.timer = nil
            self.logFailure("not done in time", context)
            context.closeAtOnce()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A handshake that ends before it has begun is a port scan or a health check.
        if case .handshakeFailed(let reason)? = error as? NIOSSLError { logFailure("\(reason)", context) }
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    private func stop() {
        timer?.cancel()
        timer = nil
    }

    private func logFailure(_ reason: String, _ context: ChannelHandlerContext) {
        failures.warn("TLS handshake with \(context.remoteAddress?.ipAddress ?? "?") failed: \(reason)")
    }
}
