import Foundation
import Synchronization
import Testing

/// The whole path with the real programs: what was acknowledged is in the database exactly once (invariants 1 and 2).
@Suite(.serialized, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct MainJobTests {
    let rig: Rig

    init() throws {
        rig = try Rig()
        try rig.startReceiver()
    }

    @Test(arguments: [true, false])
    func theSixChecksOfTheSpecification(databaseIsUp: Bool) throws {
        if !databaseIsUp { try rig.stopDatabase() }
        let one = Rig.batch("plug-1", minutes: 0..<1)
        #expect(try rig.post(one, key: nil).status == 401)
        #expect(try rig.post(one, key: "wrong").text == #"{"detail":"Unauthorized"}"#)

        let first = try rig.post(one)
        #expect(first.status == 200 && first.count("inserted") == 1 && first.count("duplicates") == 0)
        let again = try rig.post(one)
        #expect(again.status == 200 && again.count("inserted") == 0 && again.count("duplicates") == 1)
        let hundred = try rig.post(Rig.batch("plug-2", minutes: 0..<100))
        #expect(hundred.count("inserted") == 100 && hundred.count("total_messages") == 100)
        #expect(hundred.count("errors") == 0 && hundred.count("devices") == 1)

        let statistics = try rig.get("/api/stats/queue")
        if databaseIsUp {
            #expect(Set(statistics.json.keys) == ["period", "total_logs", "from_queue", "devices", "last_insert"])
        } else {
            #expect(statistics.status == 503 && statistics.text == #"{"detail":"Database unavailable"}"#)
            #expect(try rig.load("drain").status == 75)
            try rig.startDatabase()
        }
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "101")
        #expect(try rig.query("SELECT count(DISTINCT idempotency_key) FROM power_logs") == "101")
        #expect(try rig.get("/readyz").status == 200)
    }

    @Test func countsAreExactAcrossKillAndRestart() throws {
        let batch = Rig.batch("plug-1", minutes: 0..<50)
        #expect(try rig.post(batch).count("inserted") == 50)
        rig.stopReceiver(SIGKILL)
        try rig.startReceiver()
        #expect(try rig.post(batch).count("duplicates") == 50)
        #expect(rig.stopReceiver() == 0)
        try rig.startReceiver()
        let both = try rig.post(Rig.batch("plug-1", minutes: 25..<75, power: 1))
        #expect(both.count("inserted") == 25 && both.count("duplicates") == 25)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "75")
        // The first record wins.
        #expect(try rig.query("SELECT count(*) FROM power_logs WHERE power = 8.9") == "50")
    }

    @Test func killUnderEightClientsLosesNothingAcknowledged() async throws {
        let acknowledged = Counter()
        for round in 0..<3 {
            await withTaskGroup(of: Void.self) { group in
                for client in 0..<8 {
                    group.addTask { [rig, acknowledged] in
                        for batch in 0..<6 {
                            let body = Rig.batch("plug-\(round)-\(client)-\(batch)", minutes: 0..<20)
                            guard let answer = try? rig.post(body), answer.status == 200 else { return }
                            acknowledged.add(answer.count("inserted") ?? 0)
                        }
                    }
                }
                group.addTask { [rig] in
                    try? await Task.sleep(for: .milliseconds(60 + 70 * round))
                    rig.stopReceiver(SIGKILL)
                }
            }
            try rig.startReceiver()
        }
        let count = acknowledged.value
        #expect(count > 0)
        try rig.expect(rig.load("drain"), status: 0)
        // Records that were durable but not yet answered may be there too; no acknowledged one may be missing.
        #expect(try Int(rig.query("SELECT count(*) FROM power_logs")) ?? 0 >= count)
        #expect(
            try rig.query("SELECT count(*) - count(DISTINCT idempotency_key) FROM power_logs") == "0")
    }

    @Test func hostileMessagesAreRefusedAndTakeNothingWithThem() throws {
        for src in [#"a\u0000b"#, #"a\nb"#, String(repeating: "x", count: 9000)] {
            let answer = try rig.post(#"{"messages":[{"src":"\#(src)","timestamp":1732320000,"params":{}}]}"#)
            #expect(answer.status == 422)
            #expect(!answer.text.contains("xxxx"))
        }
        #expect(try rig.post(#"{"messages":[{"src":"\ud800","timestamp":1,"params":{}}]}"#).status == 422)
        let mixed = #"""
            {"messages":[{"src":"","timestamp":1,"params":{}},
            {"src":"b","timestamp":1732320000,"params":{"switch:0":{"apower":"x"},"switch:1":{"apower":2}}}]}
            """#
        #expect(try rig.post(mixed).status == 422)
        let lenient = try rig.post(mixed, headers: ["Prefer: handling=lenient"])
        #expect(lenient.count("inserted") == 1 && lenient.count("errors") == 1)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT string_agg(idempotency_key, ' ') FROM power_logs") == "b_1_28872000")
    }

    @Test func errorsAreAnsweredAsTheContractSays() throws {
        #expect(try rig.get("/api/ingest/batch").status == 405)
        #expect(try rig.get("/nothing").text == #"{"detail":"Not Found"}"#)
        #expect(try rig.post("{}", headers: ["Content-Encoding: gzip"]).status == 415)
        #expect(try rig.post(String(repeating: " ", count: (16 << 20) + 1)).status == 413)
        #expect(try rig.post(String(repeating: " ", count: (16 << 20) + 1), key: "wrong").status == 401)
    }

    @Test func secondReceiverOnTheSpoolIsRefusedByName() throws {
        let second = try rig.run(
            Rig.binaries! + "/shelly-receiver", ["--spool", rig.spool, "--port", "0"])
        #expect(second.status == 1 && second.text.contains(rig.spool))
    }

    @Test func unknownSettingsAreRefusedByName() throws {
        let output = try rig.run(Rig.binaries! + "/shelly-receiver", [], environment: ["INGEST_APIKEY": "x"])
        #expect(output.status == 1 && output.text.contains("INGEST_APIKEY") && output.text.contains("INGEST_API_KEY"))
    }
}

private final class Counter: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }

    func add(_ number: Int) { count.withLock { $0 += number } }
}
