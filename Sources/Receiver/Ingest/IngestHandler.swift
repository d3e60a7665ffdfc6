import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import Readings
import Spool
import Time

/// The steps of `POST /api/ingest/batch`, from the header to the answer, in the order in which they happen.
struct IngestHandler: Sendable {
    static let path = "/api/ingest/batch"

    let authentication: Authentication
    let inFlight: InFlight
    let decoders: DecoderPool
    let groupCommit: GroupCommit
    let logger: Logger
    let refusals: RepeatedMessage
    let strangers: RepeatedMessage
    let metrics: Metrics
    /// The wall clock, Unix milliseconds.
    let now: @Sendable () -> Int64

    /// A batch whose body was judged and that is to become durable.
    struct Received: Sendable {
        let batch: Batch
        let receivedAt: Int64
        /// When its header was read.
        let started: ContinuousClock.Instant
        /// Whether its client wants the valid part of a batch taken.
        let isLenient: Bool
    }

    /// Judges the header; returns what takes the body.
    func admit(_ head: HTTPRequestHead, from channel: any Channel) throws(Rejection) -> Intake {
        guard head.method == .POST else { throw Rejection(allowing: [.post], for: .method) }
        guard authentication.isConfigured else {
            refusals.warn("a batch was refused: INGEST_API_KEY is not configured")
            throw .misconfigured
        }
        guard authentication.accepts(head.headers) else {
            strangers.warn(
                "a batch from \(channel.remoteAddress?.ipAddress ?? "?") was refused: X-API-Key missing or wrong")
            throw .unauthorized
        }
        // Each absent, or what changes nothing.
        for (name, plain) in [("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")] {
            guard head.headers.text(name).map({ $0.lowercased() == plain }) ?? true else { throw .encoding }
        }
        return try Intake(inFlight, declared: head.headers.first(name: "Content-Length").flatMap { Int($0) })
    }

    /// Judges the body. What is not refused here may be queued.
    func receive(
        _ intake: Intake, isLenient: Bool, since started: ContinuousClock.Instant
    ) throws(Rejection) -> Received {
        let receivedAt = now()
        let batch = try decode(intake, receivedAt)
        guard isLenient || batch.invalid.isEmpty else { throw refusal(batch.invalid.flatMap(\.problems)) }
        return Received(batch: batch, receivedAt: receivedAt, started: started, isLenient: isLenient)
    }

    /// Queues the batch for the disk; `answer` is called on `eventLoop`.
    func commit(
        _ received: Received, _ intake: Intake, on eventLoop: any EventLoop,
        then answer: @escaping @Sendable (Result<GroupCommit.Acknowledgement, GroupCommit.Failure>) -> Void
    ) {
        var text = intake.takeBody()
        SegmentWriter.removeLineBreaks(in: &text)
        groupCommit.commit(
            received.batch, NewRecord(receivedAt: received.receivedAt, body: text), on: eventLoop, then: answer)
    }

    /// The batch is durable: says so to the log, the metrics and the client.
    func answer(_ received: Received, _ acknowledgement: GroupCommit.Acknowledgement) -> Answer {
        let seconds = received.started.duration(to: .now).inSeconds
        log(received.batch, acknowledgement, seconds)
        metrics.acknowledged(received.batch, acknowledgement, receivedAt: received.receivedAt, seconds: seconds)
        return answer(received.batch, acknowledgement, seconds, isLenient: received.isLenient)
    }

    private func refusal(_ problems: [Problem]) -> Rejection {
        refusals.warn("a batch was refused: \(problems.count) problems, the first: \(problems.first?.message ?? "?")")
        return Rejection(problems)
    }

    private func decode(_ intake: Intake, _ receivedAt: Int64) throws(Rejection) -> Batch {
        do throws(Problem) {
            return try decoders.withDecoder { (decoder) throws(Problem) in
                try intake.withBody { (body) throws(Problem) in try decoder.decode(body, receivedAt: receivedAt) }
            }
        } catch {
            throw refusal([error])
        }
    }

    /// RFC 7240: `Prefer: handling=lenient`, among other preferences and perhaps with parameters; the first one counts.
    static func prefersLenient(_ headers: HTTPHeaders) -> Bool {
        let preferences = headers["Prefer"].flatMap { $0.split(separator: ",") }.map { preference in
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
    ) -> Answer {
        var json = """
            {"inserted":\(acknowledgement.inserted),"duplicates":\(acknowledgement.duplicates),\
            "errors":\(batch.faults.count),"total_messages":\(batch.messageCount),"devices":\(batch.devices.count),\
            "processing_time":\(seconds),"record":"\(acknowledgement.position)"
            """
        var fields: HTTPFields = [:]
        if isLenient {
            json += ",\"rejected\":"
            json.appendArray(batch.invalid) { text, message in
                text += "{\"index\":\(message.index),\"msg\":"
                text.appendQuoted(message.reason)
                text += "}"
            }
            if let name = HTTPField.Name("Preference-Applied") { fields[name] = "handling=lenient" }
        }
        json += "}"
        return Answer(json: json, fields: fields)
    }
}
