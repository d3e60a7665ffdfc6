// HTTP: answers, rejections and query parameters, for all routes alike.
// Begin here.
// Uses Readings, Text, Time.

import HTTPTypes
import Hummingbird
import Readings
import Text

/// An answer that accepts nothing: the status, the reason and advice for the client.
///
/// It never repeats anything that the client sent.
struct Rejection: Error {
    enum Detail {
        case sentence(String)
        case problems([InvalidInput])
    }

    let status: HTTPResponse.Status
    let detail: Detail
    /// Seconds after which a retry makes sense.
    var retryAfterSeconds: Int?
    var allow: String?
    /// The challenge of a 401, for which a browser prompts its user.
    var authenticate: String?
    /// Why a batch or a connection was rejected; nil when the answer rejects neither.
    var reason: Reason?

    /// The reasons by which rejections are counted.
    enum Reason: String, CaseIterable, Sendable {
        case unauthorized, misconfigured, method, encoding, malformed, invalid, timeout, busy, connections
        case tooLarge = "too_large"
        case spoolFull = "spool_full"
        case spoolFailing = "spool_failing"
        case diskStalled = "disk_stalled"
        case ledgerFull = "ledger_full"
        case stopping
    }

    /// At most this many of a body's problems are listed; the others are in the same message or the next ones.
    static let maximumProblems = 100

    static let unauthorized = Rejection(.unauthorized, "Unauthorized", for: .unauthorized)
    static let misconfigured = Rejection(
        .internalServerError, "Server configuration error", for: .misconfigured)
    static let tooLarge = Rejection(
        .contentTooLarge, "Body too large (max 16 MiB); send fewer messages in a batch", for: .tooLarge)
    static let requestTimeout = Rejection(
        .requestTimeout, "The request did not arrive in time; send it again", for: .timeout)
    static let encoding = Rejection(
        .unsupportedMediaType, "Content-Encoding is not supported; send plain JSON", for: .encoding)
    static let malformed = Rejection(
        .badRequest, "Not a valid HTTP request, or it ended early", for: .malformed)
    static let malformedHost = Rejection(
        .badRequest, "The request must have one Host field with a valid value", for: .malformed)
    static let busy = Rejection(
        .serviceUnavailable, "Too many batches in flight; try again", retryAfterSeconds: 1, for: .busy)
    static let tooManyQueries = Rejection(
        .serviceUnavailable, "Too many queries at once; try again", retryAfterSeconds: 1)
    static let stopping = Rejection(.serviceUnavailable, "The receiver stops; try again", retryAfterSeconds: 1)
    static let transferEncoding = Rejection(
        .unsupportedMediaType, "Transfer-Encoding must be chunked, or absent", for: .encoding)
    static let tooManyConnections = Rejection(
        .serviceUnavailable, "Too many connections; try again", retryAfterSeconds: 1, for: .connections)
    static let notFound = Rejection(.notFound, "Not Found")
    static let databaseUnavailable = Rejection(.serviceUnavailable, "Database unavailable", retryAfterSeconds: 5)

    /// The ledger did not answer a query in time.
    static let ledgerTimeout = Rejection(
        .serviceUnavailable, "Spool's disk does not answer; try again", retryAfterSeconds: 5)

    init(
        _ status: HTTPResponse.Status, _ sentence: String, retryAfterSeconds: Int? = nil, for reason: Reason? = nil
    ) {
        self.status = status
        self.detail = .sentence(sentence)
        self.retryAfterSeconds = retryAfterSeconds
        self.reason = reason
    }

    /// 422 with all problems.
    init(_ problems: [InvalidInput]) {
        status = .unprocessableContent
        detail = .problems(problems)
        reason = .invalid
    }

    /// 405, with the allowed methods.
    init(allowing methods: [HTTPRequest.Method], for reason: Reason? = nil) {
        self.init(.methodNotAllowed, "Method Not Allowed", for: reason)
        allow = methods.map(\.rawValue).sorted().joined(separator: ", ")
    }

    var response: Response { .json(json.text, status: status, headers: fields) }

    /// The additional header fields of the answer.
    var fields: HTTPFields {
        var fields: HTTPFields = [:]
        if let retryAfterSeconds { fields[.retryAfter] = String(retryAfterSeconds) }
        if let allow { fields[.allow] = allow }
        if let authenticate { fields[.wwwAuthenticate] = authenticate }
        return fields
    }

    /// The answer's body.
    var json: JSONText {
        JSONText { json in
            switch detail {
            case .sentence(let sentence): json.add("detail", sentence)
            case .problems(let problems): json.add("detail", problems.prefix(Self.maximumProblems)) { $0.add($1) }
            }
        }
    }
}

extension JSONText {
    /// Adds the members of FastAPI's shape: `{"type","loc":["body","messages",3,"timestamp"],"msg"}`.
    fileprivate mutating func add(_ problem: InvalidInput) {
        add("type", problem.type)
        add("loc", array: problem.location) { json, step in
            switch step {
            case .member(let name): name.append(to: &json)
            case .index(let index): index.append(to: &json)
            }
        }
        add("msg", problem.message)
    }
}
