// Server: a connection's life cycle: its place, its timeouts, one request at a time, TLS.
// Begin here.
// Uses Access, HTTP, Metrics.

import NIOCore
import NIOHTTP1

/// Enforces the limits of one connection, from its beginning to its end.
///
/// It turns the connection away when there is no room for it, and closes it when a request does not arrive in time, when
/// the client does not read an answer in time, when the connection is idle for too long, or when a stop cannot wait longer.
/// After an answer that did not wait for the whole body, it closes the connection in an orderly way.
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
        /// For the client to read `answerBytes` of an answer, or its rest.
        let answer: TimeAmount
        /// Between two requests.
        let idle: TimeAmount
        /// From the beginning of a stop to the answer to a batch.
        let stop: TimeAmount
    }

    private enum State {
        /// Between requests, or a whole request was read.
        case open
        /// A request's header is arriving.
        case head
        /// A request's end has not been read yet.
        case body
        /// The connection's last answer is being written, perhaps before the request's end.
        case refusing
        /// The last answer has left, or there is none; arriving bytes are dropped.
        case lingering
    }

    private static let linger = TimeAmount.seconds(2)
    /// A client that reads less of an answer within `Limits.answer` is not served further.
    private static let answerBytes = 64 << 10
    /// From the beginning of a stop to the end of a connection that has no batch.
    private static let stopWithoutBatch = TimeAmount.seconds(5)

    private let limits: Limits
    private let connections: Connections
    private let metrics: Metrics
    private var place: Connections.Place?
    private var state = State.open
    /// Whether a request was read and is not answered yet.
    private var isAnswering = false
    /// Whether an answer was written whose bytes have not all left for the client, as far as the guard knows.
    private var hasUnwritten = false
    /// Whether the gate will report that they have left.
    private var awaitsWritten = false
    /// The bytes of answers that waited for the client when the deadline was set.
    private var unreadBytes = 0
    private var hasShownKey = false
    /// Whether the last header was that of a HEAD request.
    private var isHead = false
    /// Whether the last header was that of a request in HTTP/1.0.
    private var isOld = false
    /// Whether the connection ends with the answer to the request that was read.
    private var isLast = false
    /// Whether a stop has begun: the connection ends with the answer in progress.
    private var isStopping = false
    private var deadline = NIODeadline.distantFuture
    private var timer: Scheduled<Void>?
    private var stopTimer: Scheduled<Void>?
    /// Belongs in front of the HTTP decoder.
    let gate = RequestGate()

    init(limits: Limits, connections: Connections, metrics: Metrics) {
        self.limits = limits
        self.connections = connections
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        gate.onBytes = { [weak self] in self?.bytesCame(context) }
        gate.onOverflow = { [weak self] in self?.beginLingering(context) }
        ConnectionBuffers.ofStrangers.apply(to: context.channel, gate)
        let guarded = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        place = connections.enter(from: ClientAddress(context.remoteAddress)) {
            eventLoop.execute {
                let (connection, context) = guarded.value
                if !connection.hasShownKey || connection.isIdle { context.closeAtOnce() }
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
        case .head(let head):
            // The gate passes one request at a time. If it and the decoder disagree about a request's end, there is no
            // order in which both can be answered.
            guard !isAnswering else { return end(context) }
            state = .body
            isHead = head.method == .HEAD
            isOld = head.version == .http1_0
            gate.framing.beginBody(head)
            guard HostField.isValid(in: head) else { return answer(.malformedHost, context) }
            isLast = Self.isLast(head)
            expectEnd(within: limits.body, context)
        case .body: break
        case .end(let trailer):
            gate.hold()
            guard state == .body else { break }
            state = .open
            isAnswering = true
            // The decoder takes a trailer's fields for the header's, `Connection: close` among them.
            isLast = isLast || trailer != nil
            deadline = .distantFuture
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch (unwrapOutboundIn(data), state) {
        case (_, .lingering):
            promise?.succeed()
        case (.head(var head), .body) where head.status != .continue,
            (.head(var head), .open) where isLast || isStopping:
            state = .refusing
            head.headers.replaceOrAdd(name: "Connection", value: "close")
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case (.head(var head), .open) where isOld:
            head.headers.replaceOrAdd(name: "Connection", value: "keep-alive")
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case (.end, _):
            isAnswering = false
            hasUnwritten = true
            context.write(data, promise: promise)
        default:
            context.write(data, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        context.flush()
        awaitWritten(context)
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard case ConnectionEvent.keyShown? = event as? ConnectionEvent else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        promise?.succeed()
        guard !hasShownKey else { return }
        hasShownKey = true
        place?.becomeKnown()
        ConnectionBuffers.ofClients.apply(to: context.channel, gate)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent else { return context.fireUserInboundEventTriggered(event) }
        isStopping = true
        switch state {
        // Also a connection that is not active yet. Its writer must be finished before the server drops it.
        case .open where isIdle && !gate.isHolding: context.close(promise: nil)
        case .open where isIdle, .head: beginLingering(context)
        case .open, .body, .refusing: beginStop(context)
        case .lingering: break
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

    private var isIdle: Bool { state == .open && !isAnswering && !hasUnwritten }

    /// Whether a batch is in progress, as far as the connection can tell: a request of a client that has shown a key.
    private var hasBatch: Bool { hasShownKey && (state == .body || isAnswering) }

    /// Whether the connection ends with the answer, as the decoder takes no request behind one that asks for another
    /// protocol (RFC 9110, 7.8), and the routes end the connection for any `close`.
    private static func isLast(_ head: HTTPRequestHead) -> Bool {
        !head.isKeepAlive || head.method == .CONNECT || head.headers.contains(name: "Upgrade")
            || head.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "close" }
            // RFC 9112, 6.1.
            || head.version == .http1_0 && head.headers.contains(name: "Transfer-Encoding")
    }

    private func leave() {
        timer?.cancel()
        timer = nil
        stopTimer?.cancel()
        stopTimer = nil
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

    /// Goes on when the answer's bytes have left for the client: at once, if the flush took them all, as is usual.
    private func awaitWritten(_ context: ChannelHandlerContext) {
        guard hasUnwritten, state != .lingering, place != nil else { return }
        unreadBytes = unreadBytes(context)
        guard unreadBytes > 0 else { return answerIsWritten(context) }
        expectEnd(within: limits.answer, context)
        guard !awaitsWritten else { return }
        awaitsWritten = true
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess {
            self.awaitsWritten = false
            self.awaitWritten(context)
        }
        gate.writeNothing(promise: written)
    }

    private func answerIsWritten(_ context: ChannelHandlerContext) {
        hasUnwritten = false
        guard state != .refusing, !(isStopping && isIdle) else { return beginLingering(context) }
        guard isIdle else { return }
        place?.becomeIdle()
        expectEnd(within: limits.idle, context)
        guard !hasShownKey else { return gate.open() }
        connections.strangerTurns(of: context.eventLoop).take { [weak gate] in gate?.open() }
    }

    private func unreadBytes(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    private func expectEnd(within limit: TimeAmount, _ context: ChannelHandlerContext) {
        deadline = .now() + limit
        if timer == nil { watch(context) }
    }

    /// Schedules the next check of the deadline. One timer serves many requests, since nearly all of them are in time.
    private func watch(_ context: ChannelHandlerContext) {
        let next = min(deadline, .now() + min(limits.head, limits.body, limits.answer, limits.idle))
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.timer = nil
            self.checkDeadline(context)
        }
    }

    private func checkDeadline(_ context: ChannelHandlerContext) {
        guard deadline < .distantFuture else { return }
        guard deadline <= .now() else { return watch(context) }
        switch state {
        case .head, .body: answer(.requestTimeout, context)
        case .open where hasUnwritten, .refusing where hasUnwritten: expectProgress(context)
        case .open: context.close(promise: nil)
        case .refusing: context.cut()
        case .lingering: break
        }
    }

    /// Gives the client more time if it has read enough of its answer.
    private func expectProgress(_ context: ChannelHandlerContext) {
        let rest = unreadBytes(context)
        guard unreadBytes - rest >= Self.answerBytes else { return context.cut() }
        unreadBytes = rest
        expectEnd(within: limits.answer, context)
    }

    /// Cuts the connection if it does not end by itself: soon, or when the stop waits for batches no longer.
    private func beginStop(_ context: ChannelHandlerContext) {
        let soon = min(Self.stopWithoutBatch, limits.stop)
        stopTimer = context.eventLoop.assumeIsolated().scheduleTask(in: soon) {
            guard self.hasBatch, soon < self.limits.stop else { return self.cutForStop(context) }
            self.stopTimer = context.eventLoop.assumeIsolated().scheduleTask(in: self.limits.stop - soon) {
                self.cutForStop(context)
            }
        }
    }

    /// Ends the connection without an answer.
    private func end(_ context: ChannelHandlerContext) {
        metrics.refused(.malformed)
        state = .lingering
        gate.drop()
        context.closeAtOnce()
    }

    private func cutForStop(_ context: ChannelHandlerContext) {
        connections.countCut()
        context.cut()
    }

    /// Answers in place of the routes and closes the connection.
    private func answer(_ rejection: Rejection, _ context: ChannelHandlerContext) {
        metrics.refused(rejection)
        var answer = Answer(rejection)
        answer.headers.replaceOrAdd(name: "Connection", value: "close")
        answer.write(to: context, hasBody: !(state == .body && isHead))
        beginLingering(context)
    }

    /// Closes the connection when the client does, or soon. At once, bytes of the client that were not read would reset it.
    private func beginLingering(_ context: ChannelHandlerContext) {
        state = .lingering
        gate.drop()
        timer?.cancel()
        stopTimer?.cancel()
        context.close(mode: .output, promise: nil)
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.linger) {
            self.timer = nil
            context.closeAtOnce()
        }
    }
}
