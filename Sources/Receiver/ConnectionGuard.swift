import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Watches over one connection: answers 408 when a request stalls, and closes in an orderly way after an answer that
/// did not wait for the body.
///
/// Such an answer says `Connection: close`; what the client still sends is read and dropped for a moment, since closing
/// at once would reset the connection and could destroy the answer before the client has read it.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// Asks for the body that a client with `Expect: 100-continue` holds back.
    struct ContinueRequest: Sendable {}

    private enum State {
        /// Between requests, or a whole request was read.
        case open
        /// A request's end has not been read.
        case reading
        /// As `reading`, and its answer has begun.
        case refusing
        /// The answer is out; what comes is dropped.
        case lingering
    }

    private static let linger = TimeAmount.seconds(2)

    private let stallLimit: TimeAmount
    private var state = State.open
    private var lastRead = NIODeadline.now()
    private var timer: Scheduled<Void>?

    init(stallSeconds: Int) {
        stallLimit = .seconds(Int64(stallSeconds))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastRead = .now()
        if state == .lingering { return }
        switch unwrapInboundIn(data) {
        case .head:
            state = .reading
            if timer == nil { watch(context, after: stallLimit) }
        case .body: break
        case .end: if state == .reading { state = .open }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch (unwrapOutboundIn(data), state) {
        case (_, .lingering):
            promise?.succeed()
        case (.head(var head), .reading) where head.status.kind != .informational:
            state = .refusing
            head.headerFields[.connection] = "close"
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case (.end, .refusing):
            context.writeAndFlush(data, promise: promise)
            beginLingering(context)
        default:
            context.write(data, promise: promise)
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is ContinueRequest else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        if state == .reading {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
        }
        promise?.succeed()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    private func watch(_ context: ChannelHandlerContext, after time: TimeAmount) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            self.timer = nil
            self.look(context)
        }
    }

    private func look(_ context: ChannelHandlerContext) {
        guard state == .reading else { return }
        let left = lastRead + stallLimit - .now()
        guard left <= .zero else { return watch(context, after: left) }
        let answer = Rejection.stalled
        let body = ByteBuffer(string: answer.json)
        let fields: HTTPFields = [.contentType: "application/json", .contentLength: String(body.readableBytes)]
        let head = HTTPResponse(status: answer.status, headerFields: fields)
        write(context: context, data: wrapOutboundOut(.head(head)), promise: nil)
        write(context: context, data: wrapOutboundOut(.body(body)), promise: nil)
        write(context: context, data: wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func beginLingering(_ context: ChannelHandlerContext) {
        state = .lingering
        timer?.cancel()
        context.close(mode: .output, promise: nil)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.linger) {
            self.timer = nil
            context.close(promise: nil)
        }
    }
}
