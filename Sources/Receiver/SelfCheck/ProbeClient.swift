import HummingbirdCore
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Sends a request on its own connection and waits for the answer, for at most 15 seconds.
struct ProbeClient {
    private let scheme: String
    private let host: String
    private let port: Int
    private let path: String
    private let verifiesCertificate: Bool

    private static let timeout = TimeAmount.seconds(15)
    private static let longestAnswer = 1 << 20

    struct Reply {
        let status: Int
        let body: String
    }

    /// Why there is no answer.
    struct ProbeError: Error, CustomStringConvertible { let description: String }

    /// - Parameters:
    ///   - url: `http://127.0.0.1:8080`, or with https. Its path is put in front of the requests' paths.
    ///   - verifiesCertificate: whether an HTTPS server's certificate must be valid for the host.
    init(_ url: String, verifiesCertificate: Bool = true) throws(ProbeError) {
        let uri = URI(url)
        guard let scheme = uri.scheme?.rawValue, ["http", "https"].contains(scheme), let host = uri.host, !host.isEmpty
        else { throw ProbeError(description: "--url must be http://HOST:PORT or https://HOST:PORT") }
        self.scheme = scheme
        // In a URL an IPv6 address has brackets.
        self.host = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        port = uri.port ?? (scheme == "https" ? 443 : 80)
        path = uri.path == "/" ? "" : uri.path
        self.verifiesCertificate = verifiesCertificate
    }

    var url: String { "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)\(path)" }

    func get(_ path: String) async throws -> Reply { try await send(.GET, path, [:], "") }

    func post(_ path: String, headers: HTTPHeaders, _ body: String) async throws -> Reply {
        try await send(.POST, path, headers, body)
    }

    private func send(_ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders, _ body: String) async throws
        -> Reply
    {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: Reply.self)
        let (scheme, host, verifiesCertificate) = (scheme, host, verifiesCertificate)
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: self.path + path, headers: headers)
        head.headers.add(name: "Host", value: "\(host.contains(":") ? "[\(host)]" : host):\(port)")
        head.headers.add(name: "Connection", value: "close")
        if method == .POST {
            head.headers.add(name: "Content-Type", value: "application/json")
            head.headers.add(name: "Content-Length", value: "\(body.utf8.count)")
        }
        let request = head
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop).connectTimeout(.seconds(5)).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if scheme == "https" {
                        var configuration = TLSConfiguration.makeClientConfiguration()
                        if !verifiesCertificate { configuration.certificateVerification = .none }
                        let context = try NIOSSLContext(configuration: configuration)
                        // An IP address is not a valid name for SNI.
                        let name = (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
                        try channel.pipeline.syncOperations.addHandler(
                            try NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(Collector(promise, limit: Self.longestAnswer))
                }
            }.connect(host: host, port: port).get()
        } catch {
            promise.fail(error)
            _ = try? await promise.futureResult.get()
            // The plain cause, in case each of the name's addresses has failed.
            let connecting = error as? NIOConnectionError
            let cause = connecting?.connectionErrors.first?.error ?? connecting?.dnsAError ?? error
            throw ProbeError(description: "\(url) cannot be reached: \(cause.cause)")
        }
        let timeout = loop.scheduleTask(in: Self.timeout) { channel.close(promise: nil) }
        channel.write(HTTPClientRequestPart.head(request), promise: nil)
        if !body.isEmpty {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer {
            timeout.cancel()
            channel.close(promise: nil)
        }
        do {
            return try await promise.futureResult.get()
        } catch {
            throw ProbeError(description: "\(url)\(path) did not answer in HTTP: \(error)")
        }
    }

    /// Assembles an answer.
    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart

        private let promise: EventLoopPromise<Reply>
        private let limit: Int
        private var status = 0
        private var body = ByteBuffer()

        init(_ promise: EventLoopPromise<Reply>, limit: Int) {
            self.promise = promise
            self.limit = limit
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): status = Int(head.status.code)
            case .body(var part):
                if body.readableBytes < limit { body.writeBuffer(&part) }
            case .end: promise.succeed(Reply(status: status, body: String(buffer: body)))
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            promise.fail(error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            // Has no effect when the answer is complete.
            promise.fail(ProbeError(description: "the server closed the connection, or the timeout passed"))
        }
    }
}
