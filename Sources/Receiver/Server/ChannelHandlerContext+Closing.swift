import NIOCore
import NIOSSL

extension ChannelHandlerContext {
    /// Closes the connection without waiting for the peer's TLS close_notify, to free its place.
    func closeAtOnce() {
        let tls = try? pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
        (tls ?? self).close(promise: nil)
    }

    /// Closes the connection and drops all that the client has not read, in the kernel as well.
    func cut() {
        _ = (channel as? any SocketOptionProvider)?.setSoLinger(NIOLinger(l_onoff: 1, l_linger: 0))
        closeAtOnce()
    }
}
