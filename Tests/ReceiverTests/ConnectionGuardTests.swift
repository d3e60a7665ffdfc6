import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import Receiver

/// The guard and the gate of a connection: which requests pass, when the connection reads again, and how it ends.
struct ConnectionGuardTests {
    /// Replaces the request handlers: records the requests that pass, and writes an answer when the test calls for it.
    private final class Routes: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        var requests: [String] = []
        var isInputClosed = false
        private var context: ChannelHandlerContext?

        func handlerAdded(context: ChannelHandlerContext) { self.context = context }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if case .head(let head) = unwrapInboundIn(data) { requests.append(head.uri) }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case ChannelEvent.inputClosed? = event as? ChannelEvent { isInputClosed = true }
        }

        func beginAnswer() {
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Content-Length": "2"])
            context?.write(wrapOutboundOut(.head(head)), promise: nil)
        }

        func endAnswer() {
            context?.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "ok")))), promise: nil)
            context?.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func answer() {
            beginAnswer()
            endAnswer()
        }
    }

    /// Counts the reads that reach the socket, and closes only its sending side, which `EmbeddedChannel` cannot do.
    private final class Socket: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        var reads = 0
        var isOutputClosed = false

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output { isOutputClosed = true } else { context.close(mode: mode, promise: promise) }
        }

        func read(context: ChannelHandlerContext) {
            reads += 1
            context.read()
        }
    }

    private let channel = EmbeddedChannel()
    private let routes = Routes()
    private let socket = Socket()
    private let metrics = Metrics()
    private let page = "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n"

    init() throws {
        let limits = ConnectionGuard.Limits(
            head: .seconds(10), body: .seconds(30), answer: .seconds(30), idle: .seconds(120), stop: .seconds(10))
        let connections = Connections(limit: 10, addressLimit: 10, proxies: try ProxyAddresses([]))
        let connectionGuard = ConnectionGuard(limits: limits, connections: connections, metrics: metrics)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(socket)
        try pipeline.addHandler(connectionGuard.gate)
        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: false)
        try pipeline.addHandler(connectionGuard)
        try pipeline.addHandler(routes)
    }

    private func connect() throws { try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait() }

    private func send(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

    /// The bytes written since the last call.
    private func received() throws -> String {
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    private func stop() { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }

    @Test func oneRequestPassesAtATime() throws {
        try connect()
        try send(page + page.replacing("one", with: "two"))
        #expect(routes.requests == ["/one"])
        routes.answer()
        #expect(routes.requests == ["/one", "/two"])
        #expect(try received().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    /// A connection reads on while its client waits for the answers, and stops once the client sends the next request
    /// before them.
    @Test func aConnectionStopsReadingOnceTheNextRequestBegins() throws {
        try connect()
        try send(page)
        let before = socket.reads
        channel.read()
        #expect(socket.reads == before + 1)
        try send("GET /t")
        channel.read()
        #expect(socket.reads == before + 1)
        routes.answer()
        #expect(socket.reads == before + 2)
    }

    @Test func theEndOfTheInputPassesAfterTheAnswer() throws {
        try connect()
        try send(page)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!routes.isInputClosed)
        routes.answer()
        #expect(routes.isInputClosed)
    }

    /// The bytes beyond the bound are dropped, and the complete requests before them are answered.
    @Test func bytesBeyondTheBoundCloseTheConnectionAfterTheAnswers() throws {
        try connect()
        try send(page)
        let second = "POST /two HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        try send(page.replacing("one", with: "next") + second + String(repeating: "x", count: 40_000))
        try send(String(repeating: "x", count: 10_000))
        #expect(routes.requests == ["/one"])
        routes.answer()
        #expect(routes.requests == ["/one", "/next"] && channel.isActive)
        routes.answer()
        let answers = try received()
        #expect(answers.components(separatedBy: "HTTP/1.1 200").count == 3 && !answers.contains(" 400 "))
        channel.embeddedEventLoop.advanceTime(by: .seconds(3))
        #expect(!channel.isActive)
    }

    @Test func aStopClosesAConnectionBetweenRequestsAtOnce() throws {
        try connect()
        stop()
        #expect(!channel.isActive)
    }

    /// Requests that wait for their turn get no answer any more. The answers before them arrive.
    @Test func aStopDrainsAConnectionWithWaitingRequests() throws {
        try connect()
        try send(String(repeating: page, count: 20))
        while routes.requests.count > 0 {
            routes.requests.removeFirst()
            routes.answer()
        }
        stop()
        #expect(channel.isActive && socket.isOutputClosed)
        channel.embeddedEventLoop.advanceTime(by: .seconds(3))
        #expect(!channel.isActive && routes.requests.isEmpty)
    }

    @Test func aStopClosesAConnectionThatIsNotActiveYet() throws {
        stop()
        channel.embeddedEventLoop.run()
        #expect(throws: (any Error).self) { try connect() }
        #expect(!channel.isActive)
    }

    @Test func aStopDoesNotWaitForTheRestOfAHeader() throws {
        try connect()
        try send("GET /half")
        stop()
        channel.embeddedEventLoop.advanceTime(by: .seconds(3))
        #expect(!channel.isActive)
    }

    /// The answer in progress says that it is the last one, and the connection closes in order after it.
    @Test(arguments: [false, true]) func aStopClosesTheConnectionAfterTheAnswer(hasBegun: Bool) throws {
        try connect()
        try send(page + page)
        if hasBegun { routes.beginAnswer() }
        stop()
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(4))
        if !hasBegun { routes.beginAnswer() }
        routes.endAnswer()
        #expect(routes.requests == ["/one"])
        let answer = try received()
        #expect(answer.hasSuffix("\r\n\r\nok") && answer.contains("Connection: close") != hasBegun)
        // The stop's timeout of 5 seconds does not cut a connection that has its answer.
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1500))
        #expect(channel.isActive && socket.isOutputClosed)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test func aStopCutsAConnectionWithoutAnAnswer() throws {
        try connect()
        try send(page)
        stop()
        channel.embeddedEventLoop.advanceTime(by: .seconds(6))
        #expect(!channel.isActive)
    }
}
