import Foundation
import Testing

/// Honest refusal: past each bound a client hears so, and nobody else is held up (invariant 11).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct RefusalTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    private func expectABatchIsTaken(_ device: String) throws {
        let answer = try rig.post(Rig.batch(device, minutes: 0..<3))
        #expect(answer.status == 200 && answer.count("inserted") == 3, "\(answer.text)")
    }

    /// A header that never ends, dripping byte by byte; a body that does; and no byte at all.
    @Test func slowClientsAreAnsweredInTimeAndHoldNobodyUp() throws {
        let head = RawClient.head(contentLength: 100_000)
        for beginning in [String(head.prefix(40)), head + "{"] {
            // They may be slow for an hour here, so a batch that is taken has not waited for them.
            try rig.startReceiver()
            let slow = try begin(beginning)
            try expectABatchIsTaken("beside-\(beginning.utf8.count)")
            #expect(!slow.contains { $0.hasInput })
            rig.stopReceiver(SIGKILL)

            try rig.startReceiver(["INGEST_HEAD_SECONDS": "1", "INGEST_BODY_SECONDS": "2"])
            let clients = try begin(beginning)
            try rig.wait("slow clients are not answered") {
                // It does not help to send another byte now and then.
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

    /// How many files the receiver has open after its first batch, for which it opens some. It may be more by a connection
    /// that is about to be closed.
    private func openFilesAfterABatch() throws -> Int {
        try expectABatchIsTaken("first")
        return try rig.openFilesOfReceiver()
    }

    @Test func idleConnectionsKeepNobodyOut() throws {
        try rig.startReceiver(["INGEST_CONNECTIONS": "100"])
        let before = try openFilesAfterABatch()
        var clients = try (0..<150).map { _ in try RawClient(port: rig.port) }
        // Connections are accepted in their order, so all the others have been when this one is answered.
        try expectABatchIsTaken("one")
        try rig.wait("idle connections are not closed") { try rig.openFilesOfReceiver() <= before + 110 }
        clients.removeAll()
        try rig.wait("connections are not closed") { try rig.openFilesOfReceiver() <= before + 2 }
        try expectABatchIsTaken("two")
    }

    @Test(.enabled(if: Rig.canOpen(12_000), "the test may not open 12,000 files"))
    func tenThousandIdleConnectionsAreNoBurden() throws {
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

    @Test func busyConnectionsBeyondTheLimitHear503() throws {
        try rig.startReceiver(["INGEST_CONNECTIONS": "20"])
        var busy: [RawClient] = []
        var answer = ""
        try rig.wait("nobody is turned away") {
            // One more each time, as one that is not known to be busy yet may have had to make room.
            busy.append(try RawClient(port: rig.port))
            try? busy.last?.send(RawClient.head(contentLength: 1000) + "{")
            let client = try RawClient(port: rig.port)
            try? client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            // It may have had to make room itself, before its request was read.
            answer = (try? client.receive().lowercased()) ?? ""
            return !answer.isEmpty && !answer.hasPrefix("http/1.1 200 ")
        }
        #expect(answer.hasPrefix("http/1.1 503 ") && answer.contains("retry-after: 1"))
        withExtendedLifetime(busy) {}
    }

    /// Half headers at the limit, and ever new ones: a stranger makes room before a client does (invariant 12).
    @Test func connectionsWithoutAKeyKeepNobodyOut() throws {
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
        // Loopback is a proxy's unless told.
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

    /// Some 8 MB of answers for each of them.
    private let manyPages = ("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)

    @Test func clientsThatReadNoAnswersAreCut() throws {
        try rig.startReceiver(["INGEST_ANSWER_SECONDS": "1", "INGEST_CONNECTIONS": "100"])
        let before = try openFilesAfterABatch()
        let clients = try Crowd(port: rig.port, connections: 50, sending: manyPages.0, times: manyPages.1)
        var batches = 0
        try rig.wait("clients that read nothing are not cut") {
            batches += 1
            try expectABatchIsTaken("beside-\(batches)")
            return try rig.openFilesOfReceiver() <= before + 2
        }
        withExtendedLifetime(clients) {}
    }

    /// A request that waits in the client's socket takes no memory of the receiver's (invariant 11).
    @Test(arguments: [
        "POST /api/ingest/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
    ]) func unreadAnswersTakeLittleMemory(request: String) throws {
        try rig.startReceiver(["INGEST_ANSWER_SECONDS": "3"])
        let before = try openFilesAfterABatch()
        let memory = try rig.memoryPeakOfReceiver()
        let clients = try Crowd(port: rig.port, connections: 20, sending: request, times: 1_000_000)
        try rig.wait("clients that read nothing are not cut") { try rig.openFilesOfReceiver() <= before + 2 }
        let taken = try rig.memoryPeakOfReceiver() - memory
        #expect(taken < 32 << 20, "\(taken >> 20) MiB")
        try expectABatchIsTaken("afterwards")
        withExtendedLifetime(clients) {}
    }

    /// A connection takes no more than docs/CONFIGURATION.md says: with the longest header, and with an answer that waits.
    @Test(
        .enabled(if: Rig.canOpen(5000), "the test may not open 5,000 files"),
        arguments: [true, false]) func manyStrangersTakeTheirShareOfMemory(isWhole: Bool) throws
    {
        let connections = 2000
        try rig.startReceiver([
            "INGEST_ANSWER_SECONDS": "5", "INGEST_HEAD_SECONDS": "5", "INGEST_CONNECTIONS": "\(connections)",
            "INGEST_LEDGER_BYTES": "\(16 << 20)", "INGEST_IN_FLIGHT_BYTES": "\(16 << 20)",
        ])
        // The sum of the parts.
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

    /// Nothing that a client does or leaves undone makes a stop wait, and a batch in progress is answered.
    @Test func aStopEndsWhateverClientsDo() throws {
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
        try rig.wait("the first crowd's answers do not wait") { try rig.unreadConnectionsOfReceiver() == 50 }
        rig.signalReceiver(SIGTERM)
        try rig.wait("others are not cut") { try rig.openConnectionsOfReceiver() <= 1 }
        try client.send(body)
        #expect(try client.answer().status == 200)
        #expect(rig.stopReceiver() == 0)
        let log = try rig.receiverLog()
        #expect(log.contains("the stop cut connections") && log.contains("the segment is sealed"))
        withExtendedLifetime(crowds) {}

        // One that never sends the rest of its batch.
        try rig.startReceiver(["INGEST_STOP_SECONDS": "1"])
        let slow = try RawClient(port: rig.port)
        try slow.beginBatch(contentLength: 1000)
        #expect(rig.stopReceiver() == 0)
        #expect(try rig.receiverLog().contains("connections=1"))
        withExtendedLifetime(slow) {}
    }

    /// Connections that arrive just before a stop and during it are closed, and the stop ends in order.
    @Test func connectionsAroundAStopAreNoBurden() throws {
        for _ in 0..<8 {
            try rig.startReceiver()
            let before = try (0..<30).map { _ in try RawClient(port: rig.port) }
            rig.signalReceiver(SIGTERM)
            // Those that come too late are refused.
            let after = (0..<30).compactMap { _ in try? RawClient(port: rig.port) }
            #expect(rig.stopReceiver() == 0)
            #expect(try rig.receiverLog().contains("stopped; the segment is sealed"))
            withExtendedLifetime((before, after)) {}
        }
    }

    /// An answer that has begun before a stop arrives whole, though more requests wait behind it.
    @Test func aStopTearsNoAnswer() throws {
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

    @Test func tooMuchInFlightIsA503ThatPasses() throws {
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
        // Clients that vanish give their places back.
        try rig.wait("places are not given back") { try rig.post(Rig.batch("next", minutes: 0..<1)).status == 200 }

        // A length that is declared takes no room; the bytes do, up to the limit, past which one of the two is refused. It
        // may be either, since the large body needs room for its next piece while the small one has some.
        let large = try RawClient(port: rig.port)
        try large.send(RawClient.head(contentLength: 16 << 20) + "{")
        for number in 0..<5 { try expectABatchIsTaken("beside a declared length \(number)") }
        try large.send(String(repeating: " ", count: 9 << 20))
        try rig.wait("bytes in flight are not bounded") {
            try large.hasInput || rig.post(Rig.batch("fourth", minutes: 0..<1)).status == 503
        }
        if large.hasInput { #expect(try large.receive().hasPrefix("HTTP/1.1 503 ")) }
        withExtendedLifetime(large) {}
    }

    @Test func clientsThatVanishBeforeTheAnswerLeaveNothingBehind() throws {
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
        // Taken as a whole or not at all.
        #expect(
            try rig.query(
                """
                SELECT count(*) FROM (SELECT count(*) AS n FROM power_logs WHERE device_id LIKE 'van%' GROUP BY device_id) d
                WHERE n <> 2
                """) == "0")
    }

    /// Invariants 11 and 12: names that a sender invents fill the ledger, and known devices do not notice. It recovers
    /// without a restart once the spool has let go.
    @Test func aFullLedgerRefusesNewDevicesAlone() throws {
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

        // A restart finds a full ledger, and takes what it knows.
        rig.stopReceiver()
        try rig.startReceiver(settings)
        #expect(try post("known", 0..<5).count("duplicates") == 5)
        #expect(try post("new", 0..<1).status == 503)
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expect(rig.load("prune", environment: ["LOADER_RETENTION_BYTES": "1"]), status: 0)
        // By itself, as there may be no traffic until it is ready.
        try rig.wait("the ledger stays full") { try rig.get("/readyz").status == 200 }
        #expect(try post("new", 0..<1).status == 200)
        #expect(try !rig.load("doctor").text.contains("warn  ledger"))
    }

    /// The one who asks is told before the spool is full; when there is room again ingest is back by itself.
    @Test func readinessFailsBeforeTheSpoolIsFullAndIngestComesBack() throws {
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
        try rig.wait("ingest is not back") { try post().status == 200 }
        try rig.wait("readiness is not back") { try rig.get("/readyz").status == 200 }
    }

    @Test func strangersAreLoggedOnceInAWhile() throws {
        try rig.startReceiver()
        let client = try RawClient(port: rig.port)
        let start = ContinuousClock.now
        for _ in 0..<200 { #expect(try client.post("{}", key: "guess").status == 401) }
        // One every ten seconds.
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

    @Test func tooFewOpenFilesAreSaidAtTheStart() throws {
        let output = try rig.run(
            "/bin/bash", ["-c", "ulimit -n 60; exec \(Rig.binaries!)/shelly-receiver --port 0 --spool \(rig.spool)"])
        #expect(output.status == 1 && output.text.contains("ulimit -n"))
    }
}
