import HTTPTypes
import Hummingbird
import NIOCore
import Spool
import Text

/// The context of a request, which gives its handler access to the connection.
struct ConnectionContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// All routes of the receiver except the batch route, which `IngestConnection` handles.
///
/// An unknown path gets 404, and a known path with another method 405, both in JSON.
struct Routes: HTTPResponder {
    let queueStatistics: QueueStatisticsSource
    let spoolStatistics: SpoolStatisticsSource
    let devices: DeviceSource
    let readiness: Readiness
    let readAccess: ReadAccess
    /// Whether the statistics need the same access as device data.
    let statisticsAreLocked: Bool
    let readFailures: RateLimitedLogger
    let metrics: Metrics
    let metricsPage: MetricsPage
    let pages: PageHandler

    /// Answers that never change, so that all requests for them share the same bytes.
    private static let document = Response.json(APIDocs.document)
    private static let documentation = Response.page(APIDocs.page, policy: APIDocs.contentSecurityPolicy)

    /// Answers a HEAD as it answers the GET, without the body (RFC 9110, 9.3.2).
    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let response = try await answer(to: request, context)
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func answer(to request: Request, _ context: ConnectionContext) async throws -> Response {
        do {
            switch (request.uri.path, request.method) {
            case (let path, .get), (let path, .head):
                if isGuarded(path) { try admit(request, context) }
                return try await page(path, request)
            case ("/api/stats/queue", _), ("/api/stats/spool", _), ("/healthz", _), ("/readyz", _),
                ("/metrics", _), ("/openapi.json", _), ("/docs", _):
                throw Rejection(allowing: [.get, .head])
            case (let path, _) where DeviceHandler.isPath(path) || PageHandler.isPath(path):
                throw Rejection(allowing: [.get, .head])
            default: throw Rejection.notFound
            }
        } catch let rejection as Rejection {
            return rejection.response
        } catch let error as SpoolError {
            readFailures.warn("a request failed: \(error)", metadata: ["path": "\(request.uri.path)"])
            return Rejection(.serviceUnavailable, "Spool cannot be read", retryAfterSeconds: 5).response
        } catch is CancellationError {
            return Rejection.stopping.response
        }
    }

    private func admit(_ request: Request, _ context: ConnectionContext) throws {
        try readAccess.admit(request.head, from: context.channel)
        if !readAccess.keys.isEmpty {
            context.channel.triggerUserOutboundEvent(ConnectionEvent.keyShown, promise: nil)
        }
    }

    /// Whether the path shows device data or operational data, so that access to it is restricted.
    private func isGuarded(_ path: String) -> Bool {
        switch path {
        case "/metrics": true
        case "/api/stats/queue", "/api/stats/spool": statisticsAreLocked
        default: DeviceHandler.isPath(path) || PageHandler.isPath(path)
        }
    }

    private func page(_ path: String, _ request: Request) async throws -> Response {
        switch path {
        case "/api/stats/queue": try await queueStatistics.respond()
        case "/api/stats/spool": .json(try await spoolStatistics.json())
        case "/healthz": .json(JSONText { $0.add("status", "ok") }.text)
        case "/readyz": try await readiness.respond()
        case "/metrics": .text(await metricsPage.text(), type: PrometheusText.contentType)
        case "/openapi.json": Self.document
        case "/docs": Self.documentation
        case _ where DeviceHandler.isPath(path): try await DeviceHandler(source: devices).respond(to: request)
        case _ where PageHandler.isPath(path): try await pages.respond(to: request)
        default: throw Rejection.notFound
        }
    }
}
