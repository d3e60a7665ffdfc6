// Ingest: a batch from its header to its answer.
// Begin here, then IngestHandler.swift.
// Uses Access, Commit, HTTP, Metrics, Logs, Readings, Settings, Spool, Text, Time.

import Commit
import HummingbirdCore
import NIOCore
import NIOHTTP1

/// Handles the batches of a connection on its event loop and passes every other request on to the routes.
///
/// `RequestGate` in front of it passes one request at a time.
final class IngestConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// A batch whose body is arriving.
    private final class Arriving {
        let head: HTTPRequestHead
        let body: BatchBody
        let started = ContinuousClock.now

        init(head: HTTPRequestHead, body: BatchBody) {
            self.head = head
            self.body = body
        }
    }

    private enum State {
        /// There is no batch; other requests pass through to the routes.
        case open
        case arriving(Arriving)
        /// The batch is rejected. If its end is not among the bytes read so far, the answer does not wait for it.
        case refusing(Rejection, HTTPRequestHead)
        /// The batch was rejected before its end, so the connection closes; or it is closed.
        case refused
        /// The batch waits for the disk.
        case committing
    }

    private let handler: IngestHandler
    private var state = State.open
    private var hasShownKey = false

    init(_ handler: IngestHandler) { self.handler = handler }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .open) where Self.isBatch(head): begin(head, context)
        case (.body(let chunk), .arriving(let arriving)): append(chunk, to: arriving)
        case (.end, .arriving(let arriving)): finish(arriving, context)
        case (.end, .refusing(let rejection, let head)): answer(Answer(rejection), to: head, context)
        case (_, .open): context.fireChannelRead(data)
        case (_, _): break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .refusing(let rejection, let head) = state {
            state = .refused
            Answer(rejection).write(to: context, hasBody: head.method != .HEAD)
        }
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .refused
        context.fireChannelInactive()
    }

    private static func isBatch(_ head: HTTPRequestHead) -> Bool {
        head.uri == IngestHandler.path || URI(head.uri).path == IngestHandler.path
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        do throws(Rejection) {
            try handler.authenticate(head, from: context.channel)
            if !hasShownKey {
                hasShownKey = true
                context.triggerUserOutboundEvent(ConnectionEvent.keyShown, promise: nil)
            }
            let arriving = Arriving(head: head, body: try handler.admit(head))
            state = .arriving(arriving)
            // A client that expects this waits for it before it sends the body.
            if head.headers.text("Expect")?.lowercased() == "100-continue", head.version != .http1_0 {
                let head = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        } catch {
            refuse(error, head)
        }
    }

    private func append(_ chunk: ByteBuffer, to arriving: Arriving) {
        do throws(Rejection) {
            try arriving.body.append(chunk)
        } catch {
            refuse(error, arriving.head)
        }
    }

    private func finish(_ arriving: Arriving, _ context: ChannelHandlerContext) {
        do throws(Rejection) {
            let received = try handler.receive(
                arriving.body, isLenient: IngestHandler.prefersLenient(arriving.head.headers),
                since: arriving.started)
            state = .committing
            // The batch keeps its place among those in flight until it is answered.
            let waiting = NIOLoopBound((self, arriving, context), eventLoop: context.eventLoop)
            handler.commit(received, arriving.body, on: context.eventLoop) { outcome in
                let (connection, arriving, context) = waiting.value
                connection.answer(outcome, of: received, to: arriving.head, context)
            }
        } catch {
            answer(error, to: arriving.head, context)
        }
    }

    /// Answers a batch with the outcome of its commit.
    private func answer(
        _ outcome: Result<Acknowledgement, CommitFailure>, of received: IngestHandler.Received,
        to head: HTTPRequestHead, _ context: ChannelHandlerContext
    ) {
        switch outcome {
        case .success(let acknowledgement): answer(handler.answer(received, acknowledgement), to: head, context)
        case .failure(let failure): answer(Rejection(failure), to: head, context)
        }
    }

    /// Rejects a batch that was read to its end.
    private func answer(_ rejection: Rejection, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        handler.metrics.refused(rejection)
        answer(Answer(rejection), to: head, context)
    }

    /// Rejects a batch whose body may still be arriving.
    private func refuse(_ rejection: Rejection, _ head: HTTPRequestHead) {
        state = .refusing(rejection, head)
        handler.metrics.refused(rejection)
    }

    /// Answers a request that was read to its end.
    private func answer(_ answer: Answer, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        state = .open
        answer.write(to: context, hasBody: head.method != .HEAD)
    }
}
