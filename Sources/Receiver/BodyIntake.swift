import HTTPTypes
import Hummingbird
import NIOCore
import Readings

/// Collects a request's body within the bounds: 16 MiB, and what all batches together may hold.
struct BodyIntake: Sendable {
    static let maximumBytes = 16 << 20

    let inFlight: InFlight

    /// A body with the padding that the decoder reads over.
    struct Body {
        var bytes: [UInt8] = []
        fileprivate(set) var count = 0
        fileprivate var reserved = 0
    }

    /// Runs `body` with a batch's place and its body's room, and gives them back.
    func withBody<T>(of request: Request, _ take: (inout Body) async throws -> T) async throws -> T {
        guard inFlight.enter() else { throw Rejection.busy }
        var body = Body()
        defer { inFlight.leave(body.reserved) }
        try await collect(request, into: &body)
        return try await take(&body)
    }

    /// The length that the header states, nil when it states none.
    static func declaredBytes(of request: Request) -> Int? { request.headers[.contentLength].flatMap { Int($0) } }

    /// Reads the whole body into `body`.
    private func collect(_ request: Request, into body: inout Body) async throws {
        let declared = Self.declaredBytes(of: request)
        if let declared {
            guard declared <= Self.maximumBytes else { throw Rejection.tooLarge }
            try reserve(declared, &body)
            body.bytes.reserveCapacity(declared + BatchDecoder.padding)
        }
        for try await chunk in request.body {
            let size = body.count + chunk.readableBytes
            guard size <= Self.maximumBytes else { throw Rejection.tooLarge }
            // Without a declared length room is reserved in steps, as the body grows.
            if size > body.reserved { try reserve(max(64 << 10, body.reserved), &body) }
            body.bytes.append(contentsOf: chunk.readableBytesView)
            body.count = size
        }
        // A connection that ends within the body looks like a body that ends.
        guard declared == nil || declared == body.count else { throw Rejection.incomplete }
        body.bytes.append(contentsOf: repeatElement(0, count: BatchDecoder.padding))
    }

    private func reserve(_ bytes: Int, _ body: inout Body) throws {
        guard inFlight.reserve(bytes) else { throw Rejection.busy }
        body.reserved += bytes
    }
}
