import Hummingbird
import Logging

// floor PORT: the HTTP library alone. It reads a body and answers as many bytes as the receiver does.

struct Floor: HTTPResponder {
    private static let answer = """
        {"inserted":400,"duplicates":0,"errors":0,"total_messages":100,"devices":100,"processing_time":0.001234,\
        "record":"00000001:12345"}
        """

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        for try await _ in request.body {}
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(string: Self.answer)))
    }
}

guard CommandLine.arguments.count == 2, let port = Int(CommandLine.arguments[1]) else {
    fatalError("usage: floor PORT")
}
var logger = Logger(label: "floor")
logger.logLevel = .warning
let application = Application(
    responder: Floor(),
    configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: port), backlog: 1024),
    logger: logger)
try await application.runService()
