import NIOCore
import NIOSSL

extension ChannelHandlerContext {
    /// Closes the connection without waiting for the peer's TLS close_notify, to free its place.
    func closeAtOnce() {
        let tls = try? pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
        (tls ?? self).close(promise: nil)
    }
}
