import HTTPTypes
import NIOCore
import NIOHTTP1
import Text

/// A complete JSON answer, for handlers that write directly to a connection.
struct Answer {
    let status: HTTPResponseStatus
    var headers: HTTPHeaders
    let body: ByteBuffer

    init(_ status: HTTPResponse.Status = .ok, json: JSONText, fields: HTTPFields = [:]) {
        self.status = HTTPResponseStatus(statusCode: status.code, reasonPhrase: status.reasonPhrase)
        body = ByteBuffer(bytes: json.bytes)
        headers = ["Content-Type": "application/json", "Content-Length": String(body.readableBytes)]
        for field in fields { headers.add(name: field.name.rawName, value: field.value) }
        headers.add(name: "Date", value: HTTPDate.now)
    }

    init(_ rejection: Rejection) { self.init(rejection.status, json: rejection.json, fields: rejection.fields) }

    /// Writes the answer; its end is written last, and flushed.
    ///
    /// - Parameter hasBody: false in the answer to a HEAD request.
    func write(to context: ChannelHandlerContext, hasBody: Bool = true) {
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(NIOAny(HTTPServerResponsePart.head(head)), promise: nil)
        if hasBody { context.write(NIOAny(HTTPServerResponsePart.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(NIOAny(HTTPServerResponsePart.end(nil)), promise: nil)
    }
}
