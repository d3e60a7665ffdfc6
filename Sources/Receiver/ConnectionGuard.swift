import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Watches over one connection: that there is room for it, that requests arrive in time, and that it is closed in an
/// orderly way after an answer that did not wait for the body.
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

    /// How long a request may take to arrive.
    struct Limits: Sendable {
        /// From its first byte to the end of its header.
        let head: TimeAmount
        /// From there to the end of its body.
        let body: TimeAmount
    }

    private enum State {
        /// Between requests, or a whole request was read.
        case open
        /// A request's header has begun.
        case head
        /// A request's end has not been read.
        case body
        /// As `body`, and its answer has begun.
        case refusing
        /// The answer is out; what comes is dropped.
        case lingering
    }

    private static let linger = TimeAmount.seconds(2)

    private let limits: Limits
    private let connections: Connections
    private let metrics: Metrics
    private var place: Connections.Place?
    private var state = State.open
    /// Requests that were read and not answered yet.
    private var unanswered = 0
    private var deadline = NIODeadline.distantFuture
    private var timer: Scheduled<Void>?

    init(limits: Limits, connections: Connections, metrics: Metrics) {
        self.limits = limits
        self.connections = connections
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        addHandlersInFront(context)
        let guarded = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        place = connections.enter {
            eventLoop.execute {
                let (connection, context) = guarded.value
                if connection.isIdle { context.closeAtOnce() }
            }
        }
        if context.channel.isActive, place == nil { turnAway(context) }
    }

    /// The decoder in front of us is silent until a header is whole, and the codec drops the version.
    private func addHandlersInFront(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        if let decoder = try? pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self) {
            try? pipeline.addHandler(ByteWatch(self, context), position: .before(decoder))
        }
        if let codec = try? pipeline.handler(type: HTTP1ToHTTPServerCodec.self) {
            try? pipeline.addHandler(ProtocolVersionMark(), position: .before(codec))
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        if place == nil { turnAway(context) }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if state == .lingering { return }
        switch unwrapInboundIn(data) {
        case .head:
            state = .body
            expectEnd(within: limits.body, context)
        case .body: break
        case .end:
            unanswered += 1
            if state == .body { state = .open }
            deadline = .distantFuture
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch (unwrapOutboundIn(data), state) {
        case (_, .lingering):
            promise?.succeed()
        case (.head(var head), .body) where head.status.kind != .informational && unanswered == 0:
            state = .refusing
            head.headerFields[.connection] = "close"
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case (.end, .refusing):
            context.writeAndFlush(data, promise: promise)
            beginLingering(context)
        case (.end, _):
            unanswered -= 1
            if isIdle { place?.becomeIdle() }
            context.write(data, promise: promise)
        default:
            context.write(data, promise: promise)
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is ContinueRequest else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        if state == .body {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
        }
        promise?.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError, state != .lingering, state != .refusing else {
            return context.fireErrorCaught(error)
        }
        answer(.malformed, context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        leave()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { leave() }

    private var isIdle: Bool { state == .open && unanswered <= 0 }

    private func leave() {
        timer?.cancel()
        timer = nil
        if let place { connections.leave(place) }
        place = nil
    }

    /// Bytes have come, of whatever part of a request.
    private func bytesCame(_ context: ChannelHandlerContext) {
        guard state == .open else { return }
        place?.becomeBusy()
        state = .head
        expectEnd(within: limits.head, context)
    }

    private func expectEnd(within limit: TimeAmount, _ context: ChannelHandlerContext) {
        deadline = .now() + limit
        if timer == nil { watch(context) }
    }

    /// Looks again in a while: one timer for many requests, since nearly all of them are in time.
    private func watch(_ context: ChannelHandlerContext) {
        let next = min(deadline, .now() + min(limits.head, limits.body))
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.timer = nil
            self.look(context)
        }
    }

    private func look(_ context: ChannelHandlerContext) {
        guard state == .head || state == .body, deadline < .distantFuture else { return }
        guard deadline <= .now() else { return watch(context) }
        answer(.stalled, context)
    }

    private func turnAway(_ context: ChannelHandlerContext) { answer(.tooManyConnections, context) }

    /// Answers in place of the routes, and closes.
    private func answer(_ rejection: Rejection, _ context: ChannelHandlerContext) {
        metrics.refused(rejection)
        let response = rejection.response
        let body = ByteBuffer(string: rejection.json)
        var fields = response.headers
        fields[.contentLength] = String(body.readableBytes)
        fields[.connection] = "close"
        let head = HTTPResponse(status: response.status, headerFields: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        beginLingering(context)
    }

    private func beginLingering(_ context: ChannelHandlerContext) {
        state = .lingering
        timer?.cancel()
        context.close(mode: .output, promise: nil)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.linger) {
            self.timer = nil
            context.closeAtOnce()
        }
    }

    /// Tells the guard of every byte that comes, in front of the codec.
    private final class ByteWatch: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = ByteBuffer

        private let connection: ConnectionGuard
        private let guardContext: ChannelHandlerContext

        init(_ connection: ConnectionGuard, _ context: ChannelHandlerContext) {
            self.connection = connection
            guardContext = context
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            connection.bytesCame(guardContext)
            context.fireChannelRead(data)
        }
    }
}
