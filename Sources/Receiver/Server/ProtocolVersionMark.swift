import HTTPTypes
import NIOCore
import NIOHTTP1

/// Marks requests in HTTP/1.0 with a field of their own, since what follows does not tell versions apart. Hardly anybody
/// speaks it but proxies that were told nothing else, and those add no other trace of themselves.
final class ProtocolVersionMark: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    /// A client that sends it itself is taken at its word.
    static let name = "X-HTTP-Version"

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data), head.version != .http1_1 else {
            return context.fireChannelRead(data)
        }
        head.headers.add(name: Self.name, value: "\(head.version.major).\(head.version.minor)")
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }
}
