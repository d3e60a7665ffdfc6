import NIOCore
import NIOHTTP1

/// Watches over one connection: that there is room for it, that requests arrive in time, that it is closed when it is
/// idle for too long, and in an orderly way after an answer that did not wait for the body.
///
/// Such an answer says `Connection: close`; what the client still sends is read and dropped for a moment, since closing
/// at once would reset the connection and could destroy the answer before the client has read it.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How long a connection may wait for its client.
    struct Limits: Sendable {
        /// From a request's first byte to the end of its header.
        let head: TimeAmount
        /// From there to the end of its body.
        let body: TimeAmount
        /// Between two requests.
        let idle: TimeAmount
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
    /// To be put in front of the HTTP decoder, which is silent until a header is whole.
    let byteWatch = ByteWatch()

    init(limits: Limits, connections: Connections, metrics: Metrics) {
        self.limits = limits
        self.connections = connections
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        byteWatch.watch = { [weak self] in self?.bytesCame(context) }
        let guarded = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        place = connections.enter {
            eventLoop.execute {
                let (connection, context) = guarded.value
                if connection.isIdle { context.closeAtOnce() }
            }
        }
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        if place == nil { answer(.tooManyConnections, context) } else { expectEnd(within: limits.idle, context) }
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
        case (.head(var head), .body) where head.status != .continue && unanswered == 0:
            state = .refusing
            head.headers.replaceOrAdd(name: "Connection", value: "close")
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case (.end, .refusing):
            context.writeAndFlush(data, promise: promise)
            beginLingering(context)
        case (.end, _):
            unanswered -= 1
            if isIdle {
                place?.becomeIdle()
                expectEnd(within: limits.idle, context)
            }
            context.write(data, promise: promise)
        default:
            context.write(data, promise: promise)
        }
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
        let next = min(deadline, .now() + min(limits.head, limits.body, limits.idle))
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.timer = nil
            self.look(context)
        }
    }

    private func look(_ context: ChannelHandlerContext) {
        guard deadline < .distantFuture else { return }
        guard deadline <= .now() else { return watch(context) }
        switch state {
        case .head, .body: answer(.stalled, context)
        case .open: context.close(promise: nil)
        case .refusing, .lingering: break
        }
    }

    /// Answers in place of the routes, and closes.
    private func answer(_ rejection: Rejection, _ context: ChannelHandlerContext) {
        metrics.refused(rejection)
        var answer = Answer(rejection)
        answer.headers.replaceOrAdd(name: "Connection", value: "close")
        answer.write(to: context)
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

    /// Tells of every byte that comes, in front of the codec.
    final class ByteWatch: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = ByteBuffer

        fileprivate var watch: (() -> Void)?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            watch?()
            context.fireChannelRead(data)
        }

        func handlerRemoved(context: ChannelHandlerContext) { watch = nil }
    }
}
