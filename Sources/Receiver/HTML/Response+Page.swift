import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
    /// A page that must not be cached, framed or extended with other content.
    static func page(
        _ html: HTML, status: HTTPResponse.Status = .ok, policy: String = HTMLPage.contentSecurityPolicy
    ) -> Response {
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .contentSecurityPolicy: policy,
            .xContentTypeOptions: "nosniff", .cacheControl: "no-store",
        ]
        if let name = HTTPField.Name("Referrer-Policy") { headers[name] = "no-referrer" }
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html.markup)))
    }
}
