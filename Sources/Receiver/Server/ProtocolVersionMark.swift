import HTTPTypes
import NIOCore
import NIOHTTP1

/// Marks requests of another version than HTTP/1.1, such as 1.0, with an extra header field, since later handlers do not
/// distinguish versions.
///
/// Hardly any client uses HTTP/1.0 except proxies without further configuration, and those leave no other trace.
final class ProtocolVersionMark: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data), head.version != .http1_1 else {
            return context.fireChannelRead(data)
        }
        // If a client sends this field itself, the field counts.
        head.headers.add(name: ProxyHeaders.protocolVersion, value: "\(head.version.major).\(head.version.minor)")
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }
}
