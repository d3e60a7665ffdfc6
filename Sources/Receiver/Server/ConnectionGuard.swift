import NIOCore
import NIOHTTP1

/// Enforces the limits of one connection.
///
/// It turns the connection away when there is no room for it, and closes it when a request does not arrive in time or
/// the connection is idle for too long. After an answer that did not wait for the whole body, it closes the connection
/// in an orderly way.
///
/// Such an answer contains `Connection: close`. The guard then reads and drops the client's bytes for a moment: closing
/// at once would reset the connection, and the client could lose the answer before reading it.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// The timeouts of a connection.
    struct Limits: Sendable {
        /// From a request's first byte to the end of its header.
        let head: TimeAmount
        /// From the end of the header to the end of the body.
        let body: TimeAmount
        /// Between two requests.
        let idle: TimeAmount
    }

    private enum State {
        /// Between requests, or a whole request was read.
        case open
        /// A request's header is arriving.
        case head
        /// A request's end has not been read yet.
        case body
        /// As `body`, and the answer has begun.
        case refusing
        /// The answer is written; arriving bytes are dropped.
        case lingering
    }

    private static let linger = TimeAmount.seconds(2)

    private let limits: Limits
    private let connections: Connections
    private let metrics: Metrics
    private var place: Connections.Place?
    private var state = State.open
    /// Requests that were read and are not answered yet.
    private var unanswered = 0
    private var deadline = NIODeadline.distantFuture
    private var timer: Scheduled<Void>?
    /// Belongs in front of the HTTP decoder, which reports nothing until a header is complete.
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

    /// Handles the arrival of bytes of any part of a request.
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

    /// Schedules the next check of the deadline. One timer serves many requests, since nearly all of them are in time.
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

    /// Answers in place of the routes and closes the connection.
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

    /// Reports arriving bytes to the guard, in front of the codec.
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
