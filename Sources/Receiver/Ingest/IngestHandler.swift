import Commit
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import Readings
import Spool
import Text
import Time

/// The steps of `POST /api/ingest/batch`, in order, from the header to the answer.
struct IngestHandler: Sendable {
    static let path = "/api/ingest/batch"

    let authentication: Authentication
    let inFlight: ConcurrencyLimiter
    let decoders: DecoderPool
    let groupCommit: GroupCommit
    let logger: Logger
    let rejections: RateLimitedLogger
    let authFailures: RateLimitedLogger
    let untaken: RateLimitedLogger
    let rules: ReadingRules
    let metrics: Metrics
    /// The wall clock.
    let now: @Sendable () -> Timestamp

    /// A batch whose body was validated and that can be committed.
    struct Received: Sendable {
        let batch: Batch
        let receivedAt: Timestamp
        /// When its header was read.
        let started: ContinuousClock.Instant
        /// Whether the client wants the valid part of a batch accepted.
        let isLenient: Bool
    }

    /// Checks the method and the key.
    func authenticate(_ head: HTTPRequestHead, from channel: any Channel) throws(Rejection) {
        guard head.method == .POST else { throw Rejection(allowing: [.post], for: .method) }
        guard authentication.isConfigured else {
            rejections.warn("a batch was refused: INGEST_API_KEY is not configured")
            throw .misconfigured
        }
        guard authentication.accepts(head.headers) else {
            authFailures.warn(
                "a batch from \(channel.remoteAddress?.ipAddress ?? "?") was refused: X-API-Key missing or wrong")
            throw .unauthorized
        }
    }

    /// Checks the rest of the header; returns the empty body.
    func admit(_ head: HTTPRequestHead) throws(Rejection) -> BatchBody {
        // Each field must be absent or have the value that changes nothing.
        if let coding = head.headers.text("Content-Encoding"), coding.lowercased() != "identity" { throw .encoding }
        if let coding = head.headers.text("Transfer-Encoding"), coding.lowercased() != "chunked" {
            throw .transferEncoding
        }
        return try BatchBody(inFlight, declared: head.headers.contentLength)
    }

    /// Validates the body. A batch that is not rejected here may be queued.
    func receive(
        _ body: BatchBody, isLenient: Bool, since started: ContinuousClock.Instant
    ) throws(Rejection) -> Received {
        let receivedAt = now()
        let batch = try decode(body, receivedAt)
        guard isLenient || batch.invalid.isEmpty else { throw rejection(batch.invalid.flatMap(\.problems)) }
        return Received(batch: batch, receivedAt: receivedAt, started: started, isLenient: isLenient)
    }

    /// Queues the batch for the disk; calls `answer` on `eventLoop`.
    func commit(
        _ received: Received, _ body: BatchBody, on eventLoop: any EventLoop,
        then answer: @escaping @Sendable (Result<Acknowledgement, CommitFailure>) -> Void
    ) {
        var text = body.takeBytes()
        NewRecord.removeLineBreaks(in: &text)
        groupCommit.commit(
            received.batch, NewRecord(receivedAt: received.receivedAt.unixMilliseconds, body: text),
            on: eventLoop, then: answer)
    }

    /// Logs and counts a durable batch, and returns the answer to the client.
    func answer(_ received: Received, _ acknowledgement: Acknowledgement) -> Answer {
        let seconds = received.started.duration(to: .now).inSeconds
        let outcome = BatchOutcome(received.batch, acknowledgement, seconds)
        log(received.batch, outcome)
        metrics.acknowledged(received.batch, acknowledgement, receivedAt: received.receivedAt, seconds: seconds)
        return answer(received.batch, outcome, isLenient: received.isLenient)
    }

    private func rejection(_ problems: [InvalidInput]) -> Rejection {
        let first = problems.first?.message ?? "?"
        rejections.warn("a batch was refused; problems: \(problems.count), the first: \(first)")
        return Rejection(problems)
    }

    private func decode(_ body: BatchBody, _ receivedAt: Timestamp) throws(Rejection) -> Batch {
        do throws(InvalidInput) {
            return try decoders.withDecoder { (decoder) throws(InvalidInput) in
                try body.withBytes { (bytes) throws(InvalidInput) in
                    try decoder.decode(bytes, receivedAt: receivedAt.unixMilliseconds)
                }
            }
        } catch {
            throw rejection([error])
        }
    }

    /// Whether the client prefers `handling=lenient` (RFC 7240, `Prefer`).
    ///
    /// The field may list other preferences, and each may have parameters. The first `handling` counts.
    static func prefersLenient(_ headers: HTTPHeaders) -> Bool {
        let preferences = headers["Prefer"].flatMap { $0.split(separator: ",") }.map { preference in
            (preference.split(separator: ";").first ?? "").filter { $0 != " " && $0 != "\"" && $0 != "\t" }.lowercased()
        }
        return preferences.first { $0.hasPrefix("handling=") } == "handling=lenient"
    }

    /// Up to this many readings that cannot be stored are logged per batch; the loader sets all of them aside.
    private static let namedFaults = 5

    private func log(_ batch: Batch, _ outcome: BatchOutcome) {
        for fault in batch.faults.prefix(Self.namedFaults) {
            let device = batch.devices[fault.device]
            logger.warning(
                "reading refused: \(fault.reason)",
                metadata: ["record": "\(outcome.record)", "device": "\(device)"])
        }
        // One that a setting takes, if there is one.
        if let example = batch.untaken.first(where: { $0.lacking != nil }) ?? batch.untaken.first {
            untaken.warn(
                "power of a batch is not taken; components: \(batch.untaken.count), one of them: \(detail(on: example))",
                metadata: ["device": "\(batch.devices[example.device])"])
        }
        logger.info("batch", metadata: ["batch": .stringConvertible(outcome)])
    }

    private func detail(on untaken: UntakenComponent) -> String {
        let remedy = untaken.lacking.map { "INGEST_COMPONENTS=\(rules.components(with: [$0])) takes it" }
        return "\(untaken.component.rawValue); \(remedy ?? untaken.component.obstacle)"
    }

    private func answer(_ batch: Batch, _ outcome: BatchOutcome, isLenient: Bool) -> Answer {
        let json = JSONText { json in
            outcome.add(to: &json)
            guard isLenient else { return }
            json.add("rejected", batch.invalid) { json, message in
                json.add("index", message.index)
                json.add("msg", message.reason)
            }
        }
        var fields: HTTPFields = [:]
        if isLenient, let name = HTTPField.Name("Preference-Applied") { fields[name] = "handling=lenient" }
        return Answer(json: json, fields: fields)
    }
}
