import Foundation
import Testing

/// Refusals: a client that exceeds a bound gets an answer that names it, and no other client waits (invariant 11).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct RefusalTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    private func expectABatchIsTaken(_ device: String) throws {
        let answer = try rig.post(Rig.batch(device, minutes: 0..<3))
        #expect(answer.status == 200 && answer.count("inserted") == 3, "\(answer.text)")
    }

    /// Three kinds of slow client: one sends its header byte by byte, one its body, and one sends nothing.
    @Test func slowClientsAreAnsweredInTimeAndDelayNoOther() throws {
        let head = RawClient.head(contentLength: 100_000)
        for beginning in [String(head.prefix(40)), head + "{"] {
            // With a timeout of an hour a batch that is accepted cannot have waited for the slow clients.
            try rig.startReceiver()
            let slow = try begin(beginning)
            try expectABatchIsTaken("beside-\(beginning.utf8.count)")
            #expect(!slow.contains { $0.hasInput })
            rig.stopReceiver(SIGKILL)

            try rig.startReceiver(["INGEST_HEAD_SECONDS": "1", "INGEST_BODY_SECONDS": "2"])
            let clients = try begin(beginning)
            try rig.wait("slow clients are not answered") {
                // Another byte now and then does not extend the timeout.
                for client in clients { try? client.send("x") }
                return clients.allSatisfy(\.hasInput)
            }
            for client in clients {
                let answer = try client.receive()
                #expect(answer.hasPrefix("HTTP/1.1 408 ") && answer.lowercased().contains("connection: close"))
            }
            try expectABatchIsTaken("after-\(beginning.utf8.count)")
            rig.stopReceiver(SIGKILL)
        }
    }

    /// Fifty clients that have sent only the beginning of a request.
    private func begin(_ beginning: String) throws -> [RawClient] {
        let clients = try (0..<50).map { _ in try RawClient(port: rig.port) }
        for client in clients { try client.send(beginning) }
        return clients
    }

    /// The number of files that the receiver has open after its first batch, which opens some. A connection that is
    /// about to be closed may add one.
    private func openFilesAfterABatch() throws -> Int {
        try expectABatchIsTaken("first")
        return try rig.openFilesOfReceiver()
    }

    @Test func idleConnectionsBlockNoClient() throws {
        try rig.startReceiver(["INGEST_CONNECTIONS": "100"])
        let before = try openFilesAfterABatch()
        var clients = try (0..<150).map { _ in try RawClient(port: rig.port) }
        // Connections are accepted in their order, so all others have been accepted when this batch is answered.
        try expectABatchIsTaken("one")
        try rig.wait("idle connections are not closed") { try rig.openFilesOfReceiver() <= before + 110 }
        clients.removeAll()
        try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= before + 2 }
        try expectABatchIsTaken("two")
    }

    @Test(.enabled(if: Rig.canOpen(12_000), "the limit of open files is below 12,000"))
    func tenThousandIdleConnectionsDelayNoBatch() throws {
        try rig.startReceiver()
        let before = try openFilesAfterABatch()
        do {
            let clients = try Crowd(port: rig.port, connections: 10_050)
            try expectABatchIsTaken("among them")
            #expect(try rig.openFilesOfReceiver() >= before + 9000)
            withExtendedLifetime(clients) {}
        }
        try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= before + 2 }
        try expectABatchIsTaken("afterwards")
        #expect(rig.stopReceiver() == 0)
    }

    @Test func aConnectionBeyondTheLimitOfBusyOnesGets503() throws {
        try rig.startReceiver(["INGEST_CONNECTIONS": "20"])
        var busy: [RawClient] = []
        var answer = ""
        try rig.wait("no connection is refused") {
            // One more busy client in each round, because an earlier one may have been closed to make room before its
            // request was read.
            busy.append(try RawClient(port: rig.port))
            try? busy.last?.send(RawClient.head(contentLength: 1000) + "{")
            let client = try RawClient(port: rig.port)
            try? client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            // This client itself may have been closed to make room, before its request was read.
            answer = (try? client.receive().lowercased()) ?? ""
            return !answer.isEmpty && !answer.hasPrefix("http/1.1 200 ")
        }
        #expect(answer.hasPrefix("http/1.1 503 ") && answer.contains("retry-after: 1"))
        withExtendedLifetime(busy) {}
    }

    /// Clients with half a header fill the limit, and new ones keep coming: a connection without a key is closed before
    /// one with a key (invariant 12).
    @Test func connectionsWithoutAKeyBlockNoClient() throws {
        try rig.startReceiver(["INGEST_CONNECTIONS": "50"])
        let atWork = try (0..<5).map { _ in try RawClient(port: rig.port) }
        let body = Rig.batch("at-work", minutes: 0..<1)
        for client in atWork { try client.beginBatch(contentLength: body.utf8.count) }
        let idle = try RawClient(port: rig.port)
        #expect(try idle.post(Rig.batch("idle", minutes: 0..<1)).status == 200)
        for round in 0..<3 {
            let strangers = try Crowd(port: rig.port, connections: 200, sending: "GET /healthz HTTP/1.1\r\nX: ")
            for number in 0..<10 { try expectABatchIsTaken("new-\(round)-\(number)") }
            #expect(try idle.post(Rig.batch("idle-\(round)", minutes: 0..<1)).status == 200)
            withExtendedLifetime(strangers) {}
        }
        for client in atWork {
            try client.send(body)
            #expect(try client.answer().status == 200)
        }
    }

    @Test func anAddressHasAShareOfTheConnections() throws {
        // By default an address on loopback counts as a proxy.
        try rig.startReceiver(["INGEST_CONNECTIONS_PER_ADDRESS": "5", "INGEST_PROXIES": "192.0.2.1, 2001:db8::/32"])
        let busy = try (0..<5).map { _ in try RawClient(port: rig.port) }
        for client in busy { try client.beginBatch(contentLength: 1000) }
        let answer = try rig.get("/healthz")
        #expect(answer.status == 503 && answer.headers.contains("retry-after: 1"))
        #expect(try rig.get("/healthz", "--interface", "127.0.0.2").status == 200)
        rig.stopReceiver(SIGKILL)

        try rig.startReceiver(["INGEST_CONNECTIONS_PER_ADDRESS": "5"])
        let behindAProxy = try (0..<10).map { _ in try RawClient(port: rig.port) }
        for client in behindAProxy { try client.beginBatch(contentLength: 1000) }
        try expectABatchIsTaken("behind a proxy")
        rig.stopReceiver(SIGKILL)

        let output = try rig.run(
            Rig.binaries! + "/shelly-receiver", ["--port", "0", "--spool", rig.spool],
            environment: ["INGEST_PROXIES": "localhost"])
        #expect(output.status == 1 && output.text.contains("INGEST_PROXIES must list IP addresses and networks"))
        withExtendedLifetime((busy, behindAProxy)) {}
    }

    /// About 8 MB of answers for each client.
    private let manyPages = ("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)

    @Test func clientsThatReadNoAnswersAreClosed() throws {
        try rig.startReceiver(["INGEST_ANSWER_SECONDS": "1", "INGEST_CONNECTIONS": "100"])
        let before = try openFilesAfterABatch()
        let clients = try Crowd(port: rig.port, connections: 50, sending: manyPages.0, times: manyPages.1)
        var batches = 0
        try rig.wait("connections of clients that read nothing are not closed") {
            batches += 1
            try expectABatchIsTaken("beside-\(batches)")
            return try rig.openFilesOfReceiver() <= before + 2
        }
        withExtendedLifetime(clients) {}
    }

    /// Requests that wait in the client's socket use no memory of the receiver (invariant 11).
    @Test(arguments: [
        "POST /api/ingest/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
    ]) func unreadAnswersTakeLittleMemory(request: String) throws {
        try rig.startReceiver(["INGEST_ANSWER_SECONDS": "3"])
        let before = try openFilesAfterABatch()
        let memory = try rig.memoryPeakOfReceiver()
        let clients = try Crowd(port: rig.port, connections: 20, sending: request, times: 1_000_000)
        try rig.wait("connections of clients that read nothing are not closed") {
            try rig.openFilesOfReceiver() <= before + 2
        }
        let taken = try rig.memoryPeakOfReceiver() - memory
        #expect(taken < 32 << 20, "\(taken >> 20) MiB")
        try expectABatchIsTaken("afterwards")
        withExtendedLifetime(clients) {}
    }

    /// A connection uses at most the memory that docs/CONFIGURATION.md states: with the longest header, and with a
    /// waiting answer.
    @Test(
        .enabled(if: Rig.canOpen(5000), "the limit of open files is below 5,000"),
        arguments: [true, false]) func connectionsWithoutAKeyUseNoMoreThanTheDocumentedMemory(isWhole: Bool) throws
    {
        let connections = 2000
        try rig.startReceiver([
            "INGEST_ANSWER_SECONDS": "5", "INGEST_HEAD_SECONDS": "5", "INGEST_CONNECTIONS": "\(connections)",
            "INGEST_LEDGER_BYTES": "\(16 << 20)", "INGEST_IN_FLIGHT_BYTES": "\(16 << 20)",
        ])
        // The sum of the documented parts.
        try rig.limitMemoryOfReceiver((128 + 16 + 2 * 16) << 20 + connections * 64 << 10)
        let before = try openFilesAfterABatch()
        let memory = try rig.memoryPeakOfReceiver()
        let fields = (0..<98).map { "Field-\($0): \(String(repeating: "x", count: 145))\r\n" }.joined()
        let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n" + (isWhole ? "\r\n" : fields)
        let clients = try Crowd(
            port: rig.port, connections: connections, sending: request, times: isWhole ? 100 : 1)
        try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= before + 2 }
        let taken = try rig.memoryPeakOfReceiver() - memory
        #expect(taken < connections * 64 << 10, "\(taken / connections) bytes for each")
        withExtendedLifetime(clients) {}
    }

    /// A stop ends in time for every kind of client, and answers a batch in progress.
    @Test func aStopEndsForEveryKindOfClient() throws {
        try rig.startReceiver()
        let body = Rig.batch("at-the-stop", minutes: 0..<1)
        let client = try RawClient(port: rig.port)
        try client.beginBatch(contentLength: body.utf8.count)
        let crowds = [
            try Crowd(port: rig.port, connections: 50, sending: manyPages.0, times: manyPages.1),
            try Crowd(port: rig.port, connections: 10),
            try Crowd(port: rig.port, connections: 10, sending: "GET /healthz HTTP/1.1\r\nHost: "),
            try Crowd(port: rig.port, connections: 10, sending: RawClient.head(contentLength: 10, key: "wrong")),
        ]
        try rig.wait("the first crowd's answers do not fill the sockets") {
            try rig.unreadConnectionsOfReceiver() == 50
        }
        rig.signalReceiver(SIGTERM)
        try rig.wait("the other connections are not closed") { try rig.openConnectionsOfReceiver() <= 1 }
        try client.send(body)
        #expect(try client.answer().status == 200)
        #expect(rig.stopReceiver() == 0)
        let log = try rig.receiverLog()
        #expect(log.contains("the stop cut connections") && log.contains("the segment is sealed"))
        withExtendedLifetime(crowds) {}

        // A client that never sends the rest of its batch.
        try rig.startReceiver(["INGEST_STOP_SECONDS": "1"])
        let slow = try RawClient(port: rig.port)
        try slow.beginBatch(contentLength: 1000)
        #expect(rig.stopReceiver() == 0)
        #expect(try rig.receiverLog().contains("connections=1"))
        withExtendedLifetime(slow) {}
    }

    /// Connections that arrive just before a stop and during it are closed, and the receiver stops in order.
    @Test func connectionsDuringAStopDoNotDelayIt() throws {
        for _ in 0..<8 {
            try rig.startReceiver()
            let before = try (0..<30).map { _ in try RawClient(port: rig.port) }
            rig.signalReceiver(SIGTERM)
            // Connections after the listener is closed are refused.
            let after = (0..<30).compactMap { _ in try? RawClient(port: rig.port) }
            #expect(rig.stopReceiver() == 0)
            #expect(try rig.receiverLog().contains("stopped; the segment is sealed"))
            withExtendedLifetime((before, after)) {}
        }
    }

    /// An answer that has begun before a stop arrives whole, even with more requests waiting behind it.
    @Test func aStopCutsNoAnswer() throws {
        try rig.startReceiver()
        let client = try RawClient(port: rig.port)
        let request = "GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try client.send(String(repeating: request, count: 50))
        try rig.wait("no answer") { client.hasInput }
        rig.signalReceiver(SIGTERM)
        let received = try client.receive()
        let answers = received.components(separatedBy: "HTTP/1.1 200").dropFirst()
        #expect(!answers.isEmpty && answers.allSatisfy { $0.hasSuffix("</html>\n") || $0.hasSuffix("</html>") })
        #expect(rig.stopReceiver() == 0)
    }

    @Test func tooManyRequestsOrBytesInFlightAreA503UntilThereIsRoom() throws {
        try rig.startReceiver([
            "INGEST_IN_FLIGHT_REQUESTS": "2", "INGEST_IN_FLIGHT_BYTES": "\(16 << 20)", "INGEST_BODY_SECONDS": "3600",
        ])
        do {
            let clients = try (0..<2).map { _ in try RawClient(port: rig.port) }
            for client in clients { try client.beginBatch(contentLength: 1000) }
            let answer = try rig.post(Rig.batch("third", minutes: 0..<1))
            #expect(answer.status == 503 && answer.headers.contains("retry-after: 1"))
            withExtendedLifetime(clients) {}
        }
        // The places of clients that disconnect become free.
        try rig.wait("the places of closed connections do not become free") {
            try rig.post(Rig.batch("next", minutes: 0..<1)).status == 200
        }

        // A declared length takes no room, only received bytes do. Past the limit one of the two requests is refused.
        // It may be either: the large body needs room for its next piece, and the small one may get room before it.
        let large = try RawClient(port: rig.port)
        try large.send(RawClient.head(contentLength: 16 << 20) + "{")
        for number in 0..<5 { try expectABatchIsTaken("beside a declared length \(number)") }
        try large.send(String(repeating: " ", count: 9 << 20))
        try rig.wait("no request is refused beyond the limit of bytes in flight") {
            try large.hasInput || rig.post(Rig.batch("fourth", minutes: 0..<1)).status == 503
        }
        if large.hasInput { #expect(try large.receive().hasPrefix("HTTP/1.1 503 ")) }
        withExtendedLifetime(large) {}
    }

    @Test func clientsThatDisconnectBeforeTheAnswerLeaveNoOpenFiles() throws {
        try rig.startReceiver()
        try expectABatchIsTaken("before")
        let files = try rig.openFilesOfReceiver()
        for client in 0..<200 {
            let body = Rig.batch("vanishing-\(client)", minutes: 0..<2)
            let raw = try RawClient(port: rig.port)
            try raw.send(RawClient.head(contentLength: body.utf8.count) + body.prefix(client % 2 == 0 ? 10_000 : 30))
        }
        try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= files + 2 }
        try expectABatchIsTaken("after")
        #expect(rig.stopReceiver() == 0)
        try rig.expect(rig.load("drain"), status: 0)
        // Each batch is accepted as a whole or not at all.
        #expect(
            try rig.query(
                """
                SELECT count(*) FROM (SELECT count(*) AS n FROM power_logs WHERE device_id LIKE 'van%' GROUP BY device_id) d
                WHERE n <> 2
                """) == "0")
    }

    /// Invariants 11 and 12: devices that a sender invents fill the ledger, and known devices are still accepted. The
    /// ledger has room again without a restart once pruning has removed segments.
    @Test func aFullLedgerRefusesOnlyNewDevices() throws {
        let settings = ["INGEST_LEDGER_BYTES": "1048576", "SPOOL_SEGMENT_SECONDS": "1"]
        try rig.startReceiver(settings)
        func post(_ device: String, _ minutes: Range<Int>) throws -> Rig.Answer {
            try rig.post(Rig.batch(device, minutes: minutes))
        }
        #expect(try post("known", 0..<3).count("inserted") == 3)
        var invented = 0
        var answer = try post("first", 0..<1)
        while answer.status == 200, invented < 10_000 {
            let messages = (invented..<invented + 200).map {
                "{\"src\":\"invented-\($0)\",\"timestamp\":60,\"params\":{\"switch:0\":{\"apower\":1}}}"
            }
            invented += 200
            answer = try rig.post("{\"messages\":[\(messages.joined(separator: ","))]}")
        }
        #expect(answer.status == 503 && answer.text.contains("Ledger full") && answer.headers.contains("retry-after: "))
        #expect(try post("known", 0..<3).count("duplicates") == 3)
        #expect(try post("known", 3..<5).count("inserted") == 2)
        #expect(try rig.get("/readyz").status == 503)
        #expect(try rig.get("/readyz").text.contains("new devices are refused"))
        let log = try rig.receiverLog()
        #expect(log.contains("batches with new devices are refused") && log.contains("invented-\(invented - 200)"))

        let warning = try rig.load("doctor").text
        #expect(warning.contains("warn  ledger") && warning.contains("of its 1.0 MiB"), "\(warning)")

        // A restart finds a full ledger and still accepts its known devices.
        rig.stopReceiver()
        try rig.startReceiver(settings)
        #expect(try post("known", 0..<5).count("duplicates") == 5)
        #expect(try post("new", 0..<1).status == 503)
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expect(rig.load("prune", environment: ["LOADER_RETENTION_BYTES": "1"]), status: 0)
        // The receiver evicts keys without traffic, because a load balancer may send none until it is ready.
        try rig.wait("the ledger stays full") { try rig.get("/readyz").status == 200 }
        #expect(try post("new", 0..<1).status == 200)
        #expect(try !rig.load("doctor").text.contains("warn  ledger"))
    }

    /// Readiness fails before the spool is full; once there is room again, ingest resumes by itself.
    @Test func readinessFailsBeforeTheSpoolIsFullAndIngestResumes() throws {
        try rig.startReceiver(["SPOOL_BYTES": "\(8 << 20)", "SPOOL_SEGMENT_BYTES": "\(1 << 20)"])
        var minute = 0
        func post() throws -> Rig.Answer {
            defer { minute += 500 }
            return try rig.post(Rig.batch("plug", minutes: minute..<(minute + 500)))
        }
        try rig.wait("readiness does not fail") {
            #expect(try post().status == 200)
            return try rig.get("/readyz").status == 503
        }
        var answer = try post()
        #expect(answer.status == 200)
        while answer.status == 200 { answer = try post() }
        #expect(answer.status == 503 && answer.headers.contains("retry-after: 30"))
        #expect(try rig.get("/healthz").status == 200)

        try rig.expect(rig.load("drain", "--json"), status: 0)
        try rig.expect(
            rig.run(
                Rig.binaries! + "/shelly-loader", ["prune"],
                environment: [
                    "DATABASE_URL": rig.databaseURL, "SPOOL_DIR": rig.spool, "LOADER_RETENTION_SECONDS": "0",
                    "LOADER_RETENTION_BYTES": "1",
                ]), status: 0)
        try rig.wait("ingest does not resume") { try post().status == 200 }
        try rig.wait("readiness does not return") { try rig.get("/readyz").status == 200 }
    }

    @Test func wrongKeysAreLoggedOnceInTenSeconds() throws {
        try rig.startReceiver()
        let client = try RawClient(port: rig.port)
        let start = ContinuousClock.now
        for _ in 0..<200 { #expect(try client.post("{}", key: "guess").status == 401) }
        // At most one line every ten seconds.
        let most = 1 + Int((ContinuousClock.now - start) / .seconds(10))
        let lines = try rig.receiverLog().split(separator: "\n").filter { $0.contains("X-API-Key missing or wrong") }
        #expect((1...most).contains(lines.count))
        #expect(lines[0].contains("127.0.0.1") && !lines[0].contains("guess"))
    }

    @Test func malformedHTTPIsA400InJSON() throws {
        try rig.startReceiver()
        for text in ["nonsense\r\n\r\n", "POST /api/ingest/batch HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
            let client = try RawClient(port: rig.port)
            try client.send(text)
            let answer = try client.receive()
            #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.contains(#"{"detail":""#), "\(answer)")
        }
        try expectABatchIsTaken("after")
    }

    @Test func aLimitOfTooFewOpenFilesStopsTheStart() throws {
        let output = try rig.run(
            "/bin/bash", ["-c", "ulimit -n 60; exec \(Rig.binaries!)/shelly-receiver --port 0 --spool \(rig.spool)"])
        #expect(output.status == 1 && output.text.contains("ulimit -n"))
    }
}
