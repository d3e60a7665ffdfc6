import NIOCore

/// Passes a connection's bytes on to the HTTP decoder one request at a time, and reads on only while answers drain.
///
/// While a request is not answered, or its answer waits for the client to read it, the gate holds back the bytes behind
/// it, and the connection reads no more once there are any. So a client that sends requests and reads no answers fills
/// its own side, and the event loop need not forget and watch the socket again for every request of a client that waits
/// for its answers.
final class RequestGate: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case passing
        /// A request is being answered.
        case holding
        /// The connection is about to close.
        case dropping
    }

    var framing = RequestFraming()
    /// Called before bytes of a request are passed on.
    var onBytes: (() -> Void)?
    /// Called when the bytes that may be held back have passed, and others behind them were dropped.
    var onOverflow: (() -> Void)?
    /// Bytes that may be held back; those behind them are dropped. Only a client that closes its sending side can make
    /// the connection read more than a few buffers ahead.
    var maximumHeldBytes = 0

    private var state = State.passing
    private var held = ByteBuffer()
    private var isOverfull = false
    private var isPassing = false
    private var isReadWanted = false
    /// Whether the client has closed its sending side. Handlers behind this one would close the connection on that
    /// event, so it waits until every request is answered.
    private var isInputClosed = false
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { forget() }

    func channelInactive(context: ChannelHandlerContext) {
        forget()
        context.fireChannelInactive()
    }

    private func forget() {
        onBytes = nil
        onOverflow = nil
        context = nil
        drop()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .dropping, !isOverfull else { return }
        var bytes = unwrapInboundIn(data)
        if held.readableBytes == 0 { held = bytes } else { held.writeBuffer(&bytes) }
        pass(context)
        isOverfull = held.readableBytes > maximumHeldBytes
    }

    func read(context: ChannelHandlerContext) {
        if held.readableBytes > 0 { isReadWanted = true } else { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent, state == .holding || held.readableBytes > 0 {
            isInputClosed = true
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// Whether bytes wait here, or may wait in the socket.
    var isHolding: Bool { state == .holding || held.readableBytes > 0 }

    /// A request was decoded to its end: the next one has to wait.
    func hold() {
        framing.end()
        if state == .passing { state = .holding }
    }

    /// The request is answered, and the client has room for the answer: the next one may pass.
    func open() {
        guard state == .holding else { return }
        state = .passing
        guard !isPassing, let context else { return }
        if held.readableBytes > 0 {
            pass(context)
            context.fireChannelReadComplete()
        } else {
            readOn(context)
        }
    }

    /// The connection is about to close: no byte passes from now on.
    func drop() {
        state = .dropping
        held = ByteBuffer()
        if let context { readOn(context) }
    }

    /// Succeeds `promise` when all bytes written so far have left for the client.
    func writeNothing(promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(ChannelError.ioOnClosedChannel) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
    }

    private func pass(_ context: ChannelHandlerContext) {
        guard !isPassing else { return }
        isPassing = true
        while state == .passing, held.readableBytes > 0 {
            // Empty lines between requests begin none.
            if !framing.isBeforeRequest || !held.readableBytesView.allSatisfy({ $0 == 0x0D || $0 == 0x0A }) {
                onBytes?()
            }
            let length = held.withUnsafeReadableBytes { framing.length(in: $0) }
            // The buffer is not shared beyond its last piece, so that the next read can use it again.
            var piece = ByteBuffer()
            if length == held.readableBytes {
                swap(&piece, &held)
            } else {
                piece = held.readSlice(length: length) ?? piece
            }
            context.fireChannelRead(wrapInboundOut(piece))
        }
        isPassing = false
        readOn(context)
    }

    /// Passes on the event and the read that waited until all bytes had passed.
    private func readOn(_ context: ChannelHandlerContext) {
        guard held.readableBytes == 0 else { return }
        if isOverfull, state == .passing { onOverflow?() }
        if isInputClosed, state != .holding {
            isInputClosed = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        if isReadWanted {
            isReadWanted = false
            context.read()
        }
    }
}
