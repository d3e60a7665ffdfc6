import NIOHTTP1
import Testing

@testable import Receiver

/// The decoder gets one request at a time.
struct RequestFramingTests {
    /// A header or a body, and the header fields that the decoder finds.
    private struct Part {
        let text: String
        var head: HTTPHeaders?
    }

    /// The pieces of the parts if they arrive in buffers of `buffer` bytes.
    private func pieces(_ parts: [Part], buffer: Int = .max) -> [String] {
        var framing = RequestFraming()
        var heads: [Int: HTTPHeaders] = [:]
        var bytes: [UInt8] = []
        for part in parts {
            bytes += part.text.utf8
            if let head = part.head { heads[bytes.count] = head }
        }
        var pieces: [String] = []
        var offset = 0
        while offset < bytes.count {
            let rest = Array(bytes[offset...].prefix(buffer))
            let length = rest.withUnsafeBytes { framing.length(in: $0) }
            #expect(length > 0)
            pieces.append(String(decoding: rest.prefix(length), as: UTF8.self))
            offset += length
            if let head = heads[offset] {
                framing.beginBody(HTTPRequestHead(version: .http1_1, method: .POST, uri: "/", headers: head))
            }
        }
        return pieces
    }

    private let get = Part(text: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", head: [:])
    private let post = Part(text: "POST / HTTP/1.1\r\nHost: a\r\n\r\n", head: ["Transfer-Encoding": "chunked"])
    private let chunks = Part(text: "5;a=b\r\n\r\n\r\nx\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")

    @Test func headersAreSeparatePieces() {
        #expect(pieces([get, get, get]) == [get.text, get.text, get.text])
        let odd = Part(text: "GET / HTTP/1.1\nHost: a\n\n", head: [:])
        #expect(pieces([odd, odd]) == [odd.text, odd.text])
    }

    /// Empty lines before a request belong to it (RFC 9112, 2.2). Otherwise each would be a piece.
    @Test func emptyLinesBelongToTheNextHeader() {
        #expect(pieces([Part(text: "\r\n\r\n\r\n"), get, get]) == ["\r\n\r\n\r\n" + get.text, get.text])
    }

    @Test func aBodyOfKnownLengthIsOnePiece() {
        let body = Part(text: "{\r\n\r\n\n\n}")
        let head = Part(text: post.text, head: ["Content-Length": "\(body.text.utf8.count)"])
        #expect(pieces([head, body, get]) == [head.text, body.text, get.text])
        let none = Part(text: post.text, head: ["Content-Length": "0"])
        #expect(pieces([none, get]) == [none.text, get.text])
    }

    /// A length that is not a number is left to the decoder.
    @Test(arguments: ["Content-Length: ", "content-length:", "CONTENT-LENGTH:\t"])
    func aHeaderAndItsWholeBodyAreOnePiece(name: String) {
        let body = "{\r\n\r\n\n\n}"
        let length = body.utf8.count
        func request(_ value: String) -> String { "POST / HTTP/1.1\r\n\(name)\(value)\r\nHost: a\r\n\r\n" }
        let whole = Part(text: request("\(length)") + body)
        #expect(pieces([whole, whole, get]) == [whole.text, whole.text, get.text])
        #expect(pieces([whole, get], buffer: whole.text.utf8.count - 1).first == request("\(length)"))
        for value in ["", "-1", "99999999999999999999", "1x"] {
            let head = Part(text: request(value), head: ["Content-Length": "\(length)"])
            #expect(pieces([head, Part(text: body), get]) == [head.text, body, get.text])
        }
    }

    @Test func aBodyInChunksIsOnePiece() {
        for body in [chunks, Part(text: "5\r\n\r\n\r\nx\r\n000\r\n\r\n")] {
            #expect(pieces([post, body, get]) == [post.text, body.text, get.text])
        }
    }

    /// A trailer has no body, so no byte of the next request is in its piece.
    @Test func aContentLengthInATrailerIsIgnored() {
        let body = Part(text: "0\r\nContent-Length: \(2 * get.text.utf8.count)\r\n\r\n")
        #expect(pieces([post, body, get, get]) == [post.text, body.text, get.text, get.text])
    }

    /// With buffers of any length, no piece has bytes of two requests.
    @Test(arguments: 1...40) func piecesEndWithTheirRequest(buffer: Int) {
        let head = Part(text: post.text, head: ["Content-Length": "5"])
        let plain = "POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"
        let parts = [
            post, chunks, head, Part(text: "body!"), Part(text: plain, head: ["Content-Length": "12"]),
            Part(text: "{\"body\":123}"), get,
        ]
        var ends: Set<Int> = []
        var end = 0
        for piece in pieces(parts, buffer: buffer) {
            end += piece.utf8.count
            ends.insert(end)
        }
        var expected = 0
        for part in parts {
            expected += part.text.utf8.count
            // A header and its body may be one piece.
            #expect(ends.contains(expected) || part.text == plain)
        }
    }

    /// A size that no body can have is left to the decoder, which refuses it.
    @Test func anImpossibleSizeIsLeftToTheDecoder() {
        let absurd = Part(text: String(repeating: "F", count: 100) + "\r\n")
        #expect(pieces([post, absurd, get]).joined() == post.text + absurd.text + get.text)
        let head = Part(text: post.text, head: ["Content-Length": "99999999999999999999"])
        #expect(pieces([head, get]).joined() == head.text + get.text)
    }
}
