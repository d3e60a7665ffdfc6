import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Readings
import Spool

/// `POST /api/ingest/batch`: from the key to the answer, in the order in which it happens.
struct IngestHandler: Sendable {
    let authentication: Authentication
    let intake: BodyIntake
    let decoders: DecoderPool
    let groupCommit: GroupCommit
    let logger: Logger
    let refusals: RepeatedMessage
    let strangers: RepeatedMessage
    let metrics: Metrics
    /// The wall clock, Unix milliseconds.
    let now: @Sendable () -> Int64

    func respond(to request: Request, channel: any Channel) async throws -> Response {
        guard authentication.isConfigured else {
            refusals.warn("a batch was refused: INGEST_API_KEY is not configured")
            throw Rejection.misconfigured
        }
        guard authentication.accepts(request.head) else {
            strangers.warn(
                "a batch from \(channel.remoteAddress?.ipAddress ?? "?") was refused: X-API-Key missing or wrong")
            throw Rejection.unauthorized
        }
        // Each absent, or what changes nothing.
        guard
            [.contentEncoding: "identity", .transferEncoding: "chunked"].allSatisfy({ name, plain in
                request.headers[name].map { $0.lowercased() == plain } ?? true
            })
        else { throw Rejection.encoding }
        guard BodyIntake.declaredBytes(of: request) ?? 0 <= BodyIntake.maximumBytes else { throw Rejection.tooLarge }
        if request.headers[.expect] != nil {
            channel.triggerUserOutboundEvent(ConnectionGuard.ContinueRequest(), promise: nil)
        }
        let started = ContinuousClock.now
        return try await intake.withBody(of: request) { body in
            try await take(&body, isLenient: Self.prefersLenient(request.headers), since: started)
        }
    }

    /// From the whole body to the answer.
    private func take(
        _ body: inout BodyIntake.Body, isLenient: Bool, since started: ContinuousClock.Instant
    ) async throws -> Response {
        let receivedAt = now()
        let batch = try decode(body, receivedAt)
        guard isLenient || batch.invalid.isEmpty else { throw refusal(batch.invalid.flatMap(\.problems)) }

        var text = body.bytes[..<body.count]
        // One owner: the array is changed in place.
        body.bytes = []
        SegmentWriter.removeLineBreaks(in: &text)
        let acknowledgement: GroupCommit.Acknowledgement
        do throws(GroupCommit.Failure) {
            acknowledgement = try await groupCommit.commit(batch, NewRecord(receivedAt: receivedAt, body: text))
        } catch {
            throw Rejection(error)
        }
        let seconds = started.duration(to: .now).inSeconds
        log(batch, acknowledgement, seconds)
        metrics.acknowledged(batch, acknowledgement, receivedAt: receivedAt, seconds: seconds)
        return answer(batch, acknowledgement, seconds, isLenient: isLenient)
    }

    private func refusal(_ problems: [Problem]) -> Rejection {
        refusals.warn("a batch was refused: \(problems.count) problems, the first: \(problems.first?.message ?? "?")")
        return Rejection(problems)
    }

    private func decode(_ body: BodyIntake.Body, _ receivedAt: Int64) throws(Rejection) -> Batch {
        do throws(Problem) {
            return try decoders.withDecoder { (decoder) throws(Problem) in
                let result = body.bytes.withUnsafeBytes { bytes in
                    Result { () throws(Problem) in
                        try decoder.decode(
                            UnsafeRawBufferPointer(rebasing: bytes[..<body.count]), receivedAt: receivedAt)
                    }
                }
                return try result.get()
            }
        } catch {
            throw refusal([error])
        }
    }

    /// RFC 7240: `Prefer: handling=lenient`, among other preferences and perhaps with parameters; the first one counts.
    static func prefersLenient(_ headers: HTTPFields) -> Bool {
        guard let prefer = HTTPField.Name("Prefer") else { return false }
        let preferences = headers[values: prefer].flatMap { $0.split(separator: ",") }.map { preference in
            (preference.split(separator: ";").first ?? "").filter { $0 != " " && $0 != "\"" && $0 != "\t" }.lowercased()
        }
        return preferences.first { $0.hasPrefix("handling=") } == "handling=lenient"
    }

    /// Readings that cannot be stored are named up to this many in a batch; the loader sets all of them aside.
    private static let namedFaults = 5

    private func log(_ batch: Batch, _ acknowledgement: GroupCommit.Acknowledgement, _ seconds: Double) {
        for fault in batch.faults.prefix(Self.namedFaults) {
            let device = batch.devices[fault.device]
            logger.warning(
                "reading refused: \(fault.reason)",
                metadata: ["record": "\(acknowledgement.position)", "device": "\(device)"])
        }
        logger.info("batch", metadata: ["batch": .stringConvertible(BatchOutcome(batch, acknowledgement, seconds))])
    }

    private func answer(
        _ batch: Batch, _ acknowledgement: GroupCommit.Acknowledgement, _ seconds: Double, isLenient: Bool
    ) -> Response {
        var json = """
            {"inserted":\(acknowledgement.inserted),"duplicates":\(acknowledgement.duplicates),\
            "errors":\(batch.faults.count),"total_messages":\(batch.messageCount),"devices":\(batch.devices.count),\
            "processing_time":\(seconds),"record":"\(acknowledgement.position)"
            """
        var headers: HTTPFields = [:]
        if isLenient {
            json += ",\"rejected\":"
            json.appendArray(batch.invalid) { text, message in
                text += "{\"index\":\(message.index),\"msg\":"
                text.appendQuoted(message.reason)
                text += "}"
            }
            if let name = HTTPField.Name("Preference-Applied") { headers[name] = "handling=lenient" }
        }
        json += "}"
        return .json(json, headers: headers)
    }
}

extension Duration {
    /// Seconds with microseconds.
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds / 1_000_000_000_000) / 1e6
    }
}
