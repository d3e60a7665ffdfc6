import Foundation
import Testing

/// The requests of a connection, batches and pages, and the end of the connection.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct ConnectionTests {
    let rig: Rig

    init() throws {
        rig = try Rig()
        try rig.startReceiver()
    }

    private let page = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private func batch(_ device: String) -> String {
        let body = Rig.batch(device, minutes: 0..<1)
        return RawClient.head(contentLength: body.utf8.count) + body
    }

    /// The statuses of the answers in `text`, in order; for a batch also the number of its new readings.
    private func answers(in text: String) -> [String] {
        text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { answer in
            let status = String(answer.prefix(3))
            guard let new = answer.range(of: "\"inserted\":") else { return status }
            return status + " new " + answer[new.upperBound...].prefix { $0.isNumber }
        }
    }

    /// The client sends all requests, and ends its side, before it reads the first answer.
    @Test func pipelinedRequestsAreAnsweredInTheirOrder() throws {
        let client = try RawClient(port: rig.port)
        try client.send(batch("one") + page + batch("two") + batch("one") + page + page + batch("three"))
        client.finish()
        let expected = ["200 new 1", "200", "200 new 1", "200 new 0", "200", "200", "200 new 1"]
        #expect(answers(in: try client.receive()) == expected)
    }

    @Test func aHalfClosedClientGetsItsAnswer() throws {
        let client = try RawClient(port: rig.port)
        try client.send(batch("half-closed"))
        client.finish()
        let answer = try client.receive()
        #expect(answers(in: answer) == ["200 new 1"])
    }

    @Test func theConnectionClosesAfterTheLastRequest() throws {
        for (line, field) in [("HTTP/1.0", ""), ("HTTP/1.1", "Connection: close\r\n")] {
            let client = try RawClient(port: rig.port)
            try client.send(
                batch("last-\(line)").replacingOccurrences(of: "HTTP/1.1\r\n", with: "\(line)\r\n\(field)"))
            // The receiver closes the connection, though its timeout for an idle one is an hour.
            let answer = try client.receive()
            #expect(answers(in: answer) == ["200 new 1"] && answer.contains("Connection: close\r\n"))
        }
        let kept = try RawClient(port: rig.port)
        for number in 0..<2 {
            try kept.send(
                batch("kept-\(number)").replacingOccurrences(
                    of: "HTTP/1.1\r\n", with: "HTTP/1.0\r\nConnection: keep-alive\r\n"))
            let answer = try kept.receive(until: "\"record\":")
            #expect(answers(in: answer) == ["200 new 1"] && answer.contains("Connection: keep-alive\r\n"))
        }
    }

    /// A rejected request that was read to its end does not cost the connection.
    @Test func aConnectionOutlivesRefusals() throws {
        let client = try RawClient(port: rig.port)
        #expect(try client.post("{}", key: "wrong").status == 401)
        #expect(try client.post("{}").status == 422)
        try client.send("GET /api/ingest/batch HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(answers(in: try client.receive(until: "Not Allowed\"}")) == ["405"])
        try client.send("HEAD /api/ingest/batch HTTP/1.1\r\nHost: localhost\r\n\r\n" + page)
        #expect(answers(in: try client.receive(until: "ok")) == ["405", "200"])
        #expect(try client.post(Rig.batch("after-refusals", minutes: 0..<1)).status == 200)
    }

    /// The answer to a HEAD is that of the GET without the body, so the next answer follows right behind it (RFC 9110,
    /// 9.3.2).
    @Test(arguments: [
        "/healthz", "/readyz", "/metrics", "/", "/?search=x", "/docs", "/openapi.json", "/api/devices",
        "/api/devices/unknown", "/api/devices?limit=none", "/devices/unknown", "/api/stats/queue", "/api/stats/spool",
        "/api/ingest/batch", "/nowhere",
    ])
    func aHeadHasNoBody(path: String) throws {
        let client = try RawClient(port: rig.port)
        try client.send("HEAD \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try client.send("GET /the-next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        let text = try client.receive()
        let end = try #require(text.range(of: "\r\n\r\n"))
        let length = text[..<end.lowerBound].firstMatch(of: /[Cc]ontent-[Ll]ength: ([0-9]+)/).flatMap { Int($0.1) }
        #expect(try #require(length) > 0)
        #expect(text[end.upperBound...].hasPrefix("HTTP/1.1 404 "), "\(text)")
    }

    @Test func aBrokenBodyOfAHeadGetsNoBody() throws {
        let client = try RawClient(port: rig.port)
        try client.send("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        let answer = try client.receive()
        #expect(answers(in: answer) == ["400"] && answer.hasSuffix("\r\n\r\n"), "\(answer)")
    }

    /// The client has not sent the whole body, so the answer must come before it, and the connection has to close.
    @Test func aRefusalIsSentBeforeTheRestOfTheBody() throws {
        for (head, status) in [
            (RawClient.head(contentLength: 1000, key: "wrong"), "401"),
            (RawClient.head(contentLength: (16 << 20) + 1), "413"),
            (RawClient.head(contentLength: 1000).replacingOccurrences(of: "POST", with: "PUT"), "405"),
        ] {
            let client = try RawClient(port: rig.port)
            try client.send(head)
            let answer = try client.receive()
            #expect(answers(in: answer) == [status] && answer.lowercased().contains("connection: close"))
        }
    }

    /// Only the path selects the route, with a scheme and host before it or a query behind it.
    @Test func everyFormOfTheRequestTargetReachesTheRoute() throws {
        let client = try RawClient(port: rig.port)
        for form in ["http://localhost/api/ingest/batch", "/api/ingest/batch?from=here"] {
            try client.send(batch(form).replacingOccurrences(of: "POST /api/ingest/batch", with: "POST \(form)"))
            #expect(answers(in: try client.receive(until: "\"record\":")) == ["200 new 1"])
        }
        try client.send(batch("elsewhere").replacingOccurrences(of: "/api/ingest/batch", with: "/api/ingest/batches"))
        #expect(answers(in: try client.receive(until: "Not Found\"}")) == ["404"])
    }

    /// A client may send all its requests before it reads the first answer. The receiver handles one after the other.
    @Test func answersWaitForTheClientInTheirOrder() throws {
        let client = try RawClient(port: rig.port)
        // About 4 MB of answers, more than the sockets' buffers hold.
        let requests = 200
        for number in 0..<requests {
            let path = number.isMultiple(of: 2) ? "/openapi.json" : "/healthz"
            try client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }
        client.finish()
        let answers = try client.receive().components(separatedBy: "HTTP/1.1 200 OK\r\n").dropFirst()
        #expect(answers.count == requests)
        for (number, answer) in answers.enumerated() {
            #expect(answer.contains("\"openapi\"") == number.isMultiple(of: 2))
        }
    }

    /// The receiver supports no other protocol, and handles no request behind one that asks for it (RFC 9110, 7.8).
    @Test func aRequestForAnotherProtocolIsTheLast() throws {
        for request in [
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
        ] {
            let client = try RawClient(port: rig.port)
            try client.send(request + page)
            let answer = try client.receive()
            #expect(answers(in: answer) == [request.hasPrefix("GET") ? "200" : "404"])
            #expect(answer.lowercased().contains("connection: close"))
        }
        let body = Rig.batch("upgrading", minutes: 0..<1)
        let head = RawClient.head(contentLength: body.utf8.count)
        let client = try RawClient(port: rig.port)
        try client.send(head.dropLast() + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + body)
        #expect(answers(in: try client.receive()) == ["200 new 1"])
    }

    /// A request can announce in several forms that it is the last. Its answer then closes the connection, and no
    /// request behind it is handled.
    @Test func noRequestBehindTheLastOneIsHandled() throws {
        let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        let chunked = "POST /api/ingest/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        for (number, (request, expected)) in [
            (get + "Connection: close\t\r\n\r\n", "200"), (get + "Connection: close \t\r\n\r\n", "200"),
            (get + "Connection: x,\tClose\t\r\n\r\n", "200"),
            (chunked + "\r\n0\r\nConnection: close\r\n\r\n", "401"),
            (chunked + "\r\n0\r\nProxy-Connection: close\r\n\r\n", "401"),
            ("GET /healthz HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "200"),
            (
                "POST /healthz HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "405"
            ),
        ].enumerated() {
            let client = try RawClient(port: rig.port)
            try client.send(request + batch("behind-\(number)"))
            let answer = try client.receive()
            #expect(answers(in: answer) == [expected], "\(request): \(answer)")
            #expect(answer.lowercased().contains("connection: close\r\n"))
            #expect(try rig.post(Rig.batch("behind-\(number)", minutes: 0..<1)).count("inserted") == 1)
        }
    }

    /// A client of HTTP/1.0 that asks for it gets the answer that the connection stays open, on every route.
    @Test func anHTTP10ClientCanKeepItsConnection() throws {
        let client = try RawClient(port: rig.port)
        for path in ["/healthz", "/nothing"] {
            try client.send("GET \(path) HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(try client.answer().headers.contains("connection: keep-alive"))
        }
    }

    /// RFC 9110, 5.5: spaces around a value are not part of it.
    @Test(arguments: [true, false]) func spacesAroundAFieldValueAreIgnored(isWhole: Bool) throws {
        let client = try RawClient(port: rig.port)
        for number in 0..<3 {
            let request = batch("spaces-\(number)").components(separatedBy: "\r\n\r\n")
            let lines = request[0].components(separatedBy: "\r\n")
            try client.send(([lines[0]] + lines.dropFirst().map { $0 + "  " }).joined(separator: "\r\n") + "\r\n\r\n")
            if !isWhole { usleep(20_000) }
            try client.send(request[1])
            let answer = try client.answer()
            #expect(answer.status == 200 && answer.count("inserted") == 1, "\(answer.text)")
        }
    }

    /// RFC 9110, 10.1.1: 100 is the answer to `Expect: 100-continue` in either case, and to no other expectation.
    @Test(arguments: [("100-Continue", ["100", "200 new 1"]), ("something", ["200 new 1"])])
    func onlyAnExpectationOf100ContinueGets100(expectation: String, expected: [String]) throws {
        let client = try RawClient(port: rig.port)
        let request = batch("expects-\(expectation)").components(separatedBy: "\r\n\r\n")
        try client.send(request.joined(separator: "\r\nExpect: \(expectation)\r\n\r\n"))
        client.finish()
        #expect(answers(in: try client.receive()) == expected)
    }

    @Test(arguments: ["16777217", "9223372036854775807", "9223372036854775808", "18446744073709551615"])
    func aDeclaredLengthBeyondTheLimitIsRefusedAtOnce(length: String) throws {
        let client = try RawClient(port: rig.port)
        try client.send(RawClient.head(contentLength: 7).replacingOccurrences(of: " 7\r\n", with: " \(length)\r\n"))
        #expect(answers(in: try client.receive()) == ["413"])
    }

    /// The receiver buffers only a few bytes of a connection that has sent no key. A client that sends more, and then
    /// ends its side, still gets the answers to its complete requests, and its connection is not reset.
    @Test func aConnectionThatExceedsItsBufferStillGetsItsAnswers() throws {
        let many = Rig.batch("much", minutes: 0..<800)
        for behind in [RawClient.head(contentLength: many.utf8.count) + many, String(repeating: page, count: 2000)] {
            for _ in 0..<5 {
                let client = try RawClient(port: rig.port)
                try client.send(page + behind)
                client.finish()
                let received = answers(in: try client.receive())
                #expect(received.count >= 1 && Set(received).isSubset(of: ["200", "200 new 800", "200 new 0"]))
            }
        }
    }

    /// RFC 9112, 3.2.
    @Test func aRequestHasOneHost() throws {
        for hosts in [[], ["localhost", "localhost"], ["local host"], ["localhost:port"]] {
            let fields = hosts.map { "Host: \($0)\r\n" }.joined()
            for request in [
                "GET /healthz HTTP/1.1\r\n\(fields)\r\n",
                batch("hosts").replacingOccurrences(
                    of: "Host: localhost\r\n", with: fields),
            ] {
                let client = try RawClient(port: rig.port)
                try client.send(request)
                let answer = try client.receive()
                #expect(answers(in: answer) == ["400"] && answer.contains("one Host field"), "\(answer)")
            }
        }
        let old = try RawClient(port: rig.port)
        try old.send("GET /healthz HTTP/1.0\r\n\r\n")
        #expect(answers(in: try old.receive()) == ["200"])
    }

    @Test func aHeaderIsBounded() throws {
        for field in ["Long: " + String(repeating: "x", count: 17 << 10), "Path: x"] {
            let count = field.utf8.count > 100 ? 1 : 101
            let client = try RawClient(port: rig.port)
            try client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            for _ in 0..<count { try? client.send(field + "\r\n") }
            try? client.send("\r\n")
            #expect(answers(in: try client.receive()) == ["400"])
        }
    }

    @Test func aConnectionThatIsIdleForTooLongIsClosed() throws {
        rig.stopReceiver()
        try rig.startReceiver(["INGEST_IDLE_SECONDS": "2"])
        try rig.wait("the machine is too slow for this test in every round") {
            try closesTheIdleConnectionAlone(after: .seconds(2))
        }
    }

    /// Empty lines before a request are ignored (RFC 9112, 2.2), so they do not start the header's timeout.
    @Test func emptyLinesDoNotStartTheHeaderTimeout() throws {
        rig.stopReceiver()
        try rig.startReceiver(["INGEST_HEAD_SECONDS": "1"])
        let client = try RawClient(port: rig.port)
        #expect(try client.post(Rig.batch("lines", minutes: 0..<1)).status == 200)
        try client.send("\r\n\r\n")
        let late = try RawClient(port: rig.port)
        try late.send("\r\nGET")
        #expect(answers(in: try late.receive()) == ["408"])
        try client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(answers(in: try client.receive()) == ["200"])
    }

    /// Sends requests on one connection for twice as long as the receiver keeps an idle one.
    ///
    /// - Returns: false if a request was so late that the receiver may have counted this connection as idle too.
    private func closesTheIdleConnectionAlone(after limit: Duration) throws -> Bool {
        let idle = try RawClient(port: rig.port)
        let start = ContinuousClock.now
        let used = try RawClient(port: rig.port)
        var last = start
        var isOver = false
        while !isOver {
            // One more request after the close of the idle connection.
            isOver = idle.hasInput && start.duration(to: .now) > limit * 2
            let answer = try? used.post(Rig.batch("busy", minutes: 0..<1))
            let now = ContinuousClock.now
            // At most two of these rounds lie between two requests.
            guard last.duration(to: now) < limit / 2 else { return false }
            #expect(answer?.status == 200)
            last = now
            usleep(50_000)
        }
        #expect(try idle.receive() == "")
        #expect(try used.receive() == "")
        return true
    }
}
