import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
    /// An answer whose body is JSON text.
    static func json(_ text: String, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    /// An answer whose body is text of another type.
    static func text(_ text: String, type: String) -> Response {
        Response(status: .ok, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

extension String {
    /// Appends a JSON string.
    mutating func appendQuoted(_ text: some StringProtocol) {
        self += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": self += "\\\""
            case "\\": self += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let hex = String(scalar.value, radix: 16)
                self += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: unicodeScalars.append(scalar)
            }
        }
        self += "\""
    }

    /// Appends a JSON array.
    mutating func appendArray<S: Sequence>(_ elements: S, _ append: (inout String, S.Element) -> Void) {
        self += "["
        var isFirst = true
        for element in elements {
            if !isFirst { self += "," }
            isFirst = false
            append(&self, element)
        }
        self += "]"
    }
}
