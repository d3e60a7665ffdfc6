import NIOCore
import NIOSSL

extension ChannelHandlerContext {
    /// Closes the connection without TLS's good-bye, whose answer would be waited for: the place is needed.
    func closeAtOnce() {
        let tls = try? pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
        (tls ?? self).close(promise: nil)
    }
}
