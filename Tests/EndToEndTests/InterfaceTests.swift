import Foundation
import Settings
import Synchronization
import Testing

/// The HTTP contract on real sockets, with the network and the whole server in between.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct InterfaceTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    /// Messages by their outcome.
    private static let judged: (taken: [String], refused: [String], faulty: [String]) = (
        taken: [
            #"{"src":"a","timestamp":1732320000,"params":{"switch:0":{"apower":-8.9,"voltage":null}},"extra":[1]}"#,
            #"{"src":" b ","timestamp":1732320059.9,"params":{"switch:3":{"apower":0}}}"#,
            #"{"src":"x","src":"c","timestamp":1.7e9,"params":{"switch:1":{"apower":1e-3,"current":2}}}"#,
        ],
        refused: [
            #"{"src":"","timestamp":1732320000,"params":{}}"#, #"{"src":7,"timestamp":1732320000,"params":{}}"#,
            #"{"src":"a\u0000b","timestamp":1732320000,"params":{}}"#,
            #"{"src":"a\nb","timestamp":1732320000,"params":{}}"#,
            #"{"src":"\#(String(repeating: "x", count: 9000))","timestamp":1732320000,"params":{}}"#,
            #"{"src":"a","timestamp":0,"params":{}}"#, #"{"src":"a","timestamp":"1732320000","params":{}}"#,
            #"{"src":"a","timestamp":true,"params":{}}"#, #"{"src":"a","timestamp":1732320000000,"params":{}}"#,
            #"{"src":"a","timestamp":99999999999,"params":{}}"#, #"{"src":"a","timestamp":1732320000,"params":[]}"#,
            #"{"src":"a","timestamp":1732320000}"#, #"{"timestamp":1732320000,"params":{}}"#, "3", "[]", "null",
        ],
        faulty: [
            #"{"src":"f","timestamp":1732320000,"params":{"switch:0":{"apower":"8.9"}}}"#,
            #"{"src":"f","timestamp":1732320060,"params":{"switch:0":{"apower":true}}}"#,
            #"{"src":"f","timestamp":1732320120,"params":{"switch:0":{"apower":{}}}}"#,
            #"{"src":"f","timestamp":1732320180,"params":{"switch:0":{"apower":1,"voltage":"230"}}}"#,
        ]
    )

    @Test(arguments: ["shelly-receiver", "shelly-loader"])
    func bothProgramsNameTheSameVersion(program: String) throws {
        let output = try rig.run(Rig.binaries! + "/" + program, ["--version"])
        #expect(output.status == 0 && output.text == Version.line + "\n")
    }

    @Test func theThreadsOfGroupCommitHaveNames() throws {
        try rig.startReceiver()
        let threads = "/proc/\(rig.receiverProcess)/task"
        let names = try FileManager.default.contentsOfDirectory(atPath: threads).map {
            try String(contentsOfFile: "\(threads)/\($0)/comm", encoding: .utf8)
        }
        #expect(Set(names).isSuperset(of: ["commit\n", "commit-ahead\n"]), "\(names)")
    }

    /// A SIGTERM ends the loader, however early it comes.
    @Test func aSignalDuringTheStartEndsTheLoader() throws {
        try rig.startReceiver()
        for round in 0..<20 {
            try rig.startLoader("drain", "--follow")
            usleep(UInt32(round * 2000))
            let status = rig.stopLoader()
            #expect(status == 0 || status == -SIGTERM)
        }
    }

    @Test func aQuietDrainPrintsOnlyWhenItLoadedRecords() throws {
        try rig.startReceiver()
        #expect(try rig.expect(rig.load("drain", "--quiet"), status: 0) == "")
        #expect(try rig.post(Rig.batch("a", minutes: 1..<2)).status == 200)
        #expect(try rig.expect(rig.load("drain", "--quiet"), status: 0).contains("1 inserted"))
        #expect(try rig.expect(rig.load("drain", "--quiet"), status: 0) == "")
    }

    @Test func receiverAndLoaderCountTheSame() throws {
        // Invariants 8 and 9: the receiver's counts for a batch are those that the loader reports for it.
        try rig.startReceiver()
        let (taken, refused, faulty) = Self.judged
        for message in refused {
            let answer = try rig.post("{\"messages\":[\(message)]}")
            #expect(answer.status == 422, "\(message)")
            #expect(answer.text.contains(#""loc":["body","messages",0"#), "\(answer.text)")
            #expect(!answer.text.contains("xxxx"))
        }
        let all = "{\"messages\":[\((taken + refused + faulty).joined(separator: ","))]}"
        let strict = try rig.post(all)
        #expect(strict.status == 422 && (strict.json["detail"] as? [Any])?.count ?? 0 >= refused.count)
        #expect(try rig.get("/api/stats/spool").text.contains(#""records":0"#))

        let lenient = try rig.post(all, headers: ["Prefer: respond-async, handling=lenient"])
        #expect(lenient.status == 200)
        #expect(lenient.count("inserted") == taken.count && lenient.count("errors") == faulty.count)
        let indices = (lenient.json["rejected"] as? [[String: Any]])?.compactMap { $0["index"] as? Int }
        #expect(indices == Array(taken.count..<taken.count + refused.count))
        #expect(try rig.receiverLog().contains(" rejected=\(refused.count) "))

        let summary = try rig.expect(rig.load("drain", "--json"), status: 0)
        let json = try #require(JSONSerialization.jsonObject(with: Data(summary.utf8)) as? [String: Any])
        #expect(json["inserted"] as? Int == taken.count && json["rejected"] as? Int == faulty.count)
        #expect(json["invalid_messages"] as? Int == refused.count)
        #expect(try rig.query("SELECT string_agg(device_id, '' ORDER BY device_id) FROM power_logs") == "abc")
        #expect(try rig.load("verify", "--database").status == 0)
    }

    @Test(arguments: ["1e999", "-1e999", "NaN", "Infinity", #""\ud800""#])
    func aNumberOrStringThatCannotBeDecodedIsA422(power: String) throws {
        try rig.startReceiver()
        let before = #"{"messages":[{"src":"a","timestamp":1732320000,"params":{"switch:0":{"apower":"#
        let answer = try rig.post(before + power + "}}}]}")
        // In a string the offset is that of the escape.
        let offset = before.utf8.count + (power.hasPrefix("\"") ? 1 : 0)
        #expect(answer.status == 422 && answer.text.contains("JSON decode error at byte \(offset):"))
        #expect(!answer.text.contains(power))
    }

    @Test func theSameKeysInOppositeOrderInConcurrentBatchesAreInsertedOnce() throws {
        try rig.startReceiver()
        for round in 0..<5 {
            let batch = Rig.batch("plug-\(round)", minutes: 0..<500)
            let reversed = Rig.batch("plug-\(round)", minutes: 0..<500, reversed: true)
            let inserted = Mutex(0)
            rig.concurrently(4) { [rig] client in
                let answer = try rig.post(client.isMultiple(of: 2) ? batch : reversed)
                let (new, known) = (answer.count("inserted") ?? 0, answer.count("duplicates") ?? 0)
                #expect(answer.status == 200 && new + known == 500)
                inserted.withLock { $0 += new }
            }
            #expect(inserted.withLock { $0 } == 500)
        }
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "2500")
    }

    @Test func theKeyIsCheckedBeforeTheBody() throws {
        try rig.startReceiver()
        // The client never sends the body, and gets the answer all the same.
        let client = try RawClient(port: rig.port)
        try client.send(RawClient.head(contentLength: 1000, key: "wrong"))
        let answer = try client.receive()
        #expect(answer.hasPrefix("HTTP/1.1 401 ") && answer.hasSuffix(#"{"detail":"Unauthorized"}"#))
        #expect(answer.lowercased().contains("connection: close"))
    }

    @Test func errorsHaveTheStatusOfTheContract() throws {
        try rig.startReceiver()
        #expect(try rig.get("/api/ingest/batch").status == 405)
        #expect(try rig.get("/nothing").text == #"{"detail":"Not Found"}"#)
        #expect(try rig.post("{}", headers: ["Content-Encoding: gzip"]).status == 415)
        let large = String(repeating: " ", count: (16 << 20) + 1)
        #expect(try rig.post(large).status == 413)
        #expect(try rig.post(large, headers: ["Transfer-Encoding: chunked"]).status == 413)
        #expect(try rig.post(large, key: "wrong").status == 401)
    }

    @Test func aStalledRequestIsAnsweredWith408AndDelaysNoOther() throws {
        try rig.startReceiver(["INGEST_BODY_SECONDS": "1"])
        let client = try RawClient(port: rig.port)
        try client.send(RawClient.head(contentLength: 1000) + "{")
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        #expect(try client.receive().hasPrefix("HTTP/1.1 408 "))
    }

    @Test func aFullDiskIsA503AndNotReady() throws {
        try rig.startReceiver(["SPOOL_RESERVE_BYTES": "\(1 << 50)"])
        let answer = try rig.post(Rig.batch("plug", minutes: 0..<1), headers: ["Prefer: x"])
        #expect(answer.status == 503 && answer.headers.contains("retry-after: 30"))
        #expect(try rig.get("/readyz").status == 503)
        #expect(try rig.get("/healthz").status == 200)
        // The keys of the failed batch have been removed (invariant 5).
        rig.stopReceiver()
        try rig.startReceiver()
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).count("inserted") == 1)
        #expect(try rig.get("/readyz").status == 200)
    }

    @Test func withoutAConfiguredKeyIngestFails() throws {
        try rig.startReceiver(["INGEST_API_KEY": ""])
        let answer = try rig.post(Rig.batch("plug", minutes: 0..<1))
        #expect(answer.status == 500 && answer.text == #"{"detail":"Server configuration error"}"#)
        #expect(try rig.get("/readyz").status == 503)
    }

    @Test func statisticsOfAHangingDatabaseAreUnavailableWithinTwoSeconds() throws {
        // The listener accepts connections and never answers.
        let listener = try Listener()
        let settings = ["DATABASE_URL": "postgresql://nobody@127.0.0.1:\(listener.port)/nothing"]
        let answer = try rig.get("/api/stats/queue", within: 2, settings) { _ in true }
        #expect(answer.status == 503 && answer.text == #"{"detail":"Database unavailable"}"#)
        #expect(answer.headers.contains("retry-after: "))
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
    }

    @Test func routesOfTheOpenAPIDocumentExist() throws {
        try rig.startReceiver()
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)
        let document = try rig.get("/openapi.json").json
        #expect(document["openapi"] as? String == "3.1.0")
        let paths = try #require(document["paths"] as? [String: [String: Any]])
        let schemas = (document["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]] ?? [:]
        #expect(paths["/api/ingest/batch"]?["post"] != nil)
        for (path, operations) in paths where operations["get"] != nil {
            let answer = try rig.get(path.replacing("{id}", with: "plug")) { $0.status != 503 }
            #expect(answer.status == 200, "GET \(path)")
            let responses = (operations["get"] as? [String: Any])?["responses"] as? [String: [String: Any]]
            let content = try #require(responses?["200"]?["content"] as? [String: Any], "\(path)")
            let type = answer.headers.firstMatch(of: /content-type: ([^\r\n]*)/).map { String($0.1) }
            #expect(content.keys.map { $0.lowercased() } == [type], "\(path)")
            // The answer has exactly the members that the schema requires.
            let text = String(decoding: try JSONSerialization.data(withJSONObject: content), as: UTF8.self)
            guard let name = schemas.keys.first(where: { text.contains("schemas\\/\($0)\"") }) else { continue }
            #expect(Set(schemas[name]?["required"] as? [String] ?? []) == Set(answer.json.keys), "\(path)")
        }
    }

    @Test func theDocumentationPageLoadsNoOtherResource() throws {
        try rig.startReceiver()
        let page = try rig.get("/docs")
        #expect(page.status == 200 && page.text.contains("POST /api/ingest/batch"))
        #expect(page.headers.contains("content-security-policy: default-src 'none'; style-src 'sha256-"))
        #expect(page.headers.contains("x-content-type-options: nosniff"))
        #expect(!page.text.contains("<script") && !page.text.contains("src="))
    }

    @Test func unknownSettingsAreRefusedByName() throws {
        let output = try rig.run(Rig.binaries! + "/shelly-receiver", [], environment: ["INGEST_APIKEY": "x"])
        #expect(output.status == 1 && output.text.contains("INGEST_APIKEY") && output.text.contains("INGEST_API_KEY"))
    }
}
