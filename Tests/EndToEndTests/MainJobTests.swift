import Foundation
import Testing

/// The whole path with the real programs: every acknowledged reading is in the database exactly once (invariants 1 and
/// 2).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct MainJobTests {
    let rig: Rig

    init() throws {
        rig = try Rig(hasCluster: true)
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

        let statistics = try rig.get("/api/stats/queue") { !databaseIsUp || $0.status != 503 }
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

    @Test func aReplayDuringLoadingAddsNoRowsAndChangesNoProgress() throws {
        // Invariants 2 and 6.
        try rig.startLoader("drain", "--follow")
        rig.concurrently(5) { [rig] client in
            guard client == 4 else {
                for round in 0..<15 {
                    #expect(try rig.post(Rig.batch("plug-\(client)-\(round)", minutes: 0..<40)).count("inserted") == 40)
                }
                return
            }
            for _ in 0..<2 { try rig.expect(rig.load("replay"), status: 0) }
        }
        try rig.wait("the loader has not caught up") {
            try rig.query("SELECT sum(readings) FROM spool_progress") == "2400"
        }
        #expect(rig.stopLoader() == 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "2400")
        #expect(try rig.query("SELECT sum(inserted + duplicates) FROM spool_progress") == "2400")
        let before = try rig.query("SELECT md5(string_agg(p::text, ' ' ORDER BY segment)) FROM spool_progress p")
        let again = try rig.expect(rig.load("replay", "--json"), status: 0)
        #expect(again.contains(#""inserted":0,"#) && again.contains(#""duplicates":2400,"#))
        #expect(again.contains(#""conflicts":0,"#))
        #expect(try rig.query("SELECT md5(string_agg(p::text, ' ' ORDER BY segment)) FROM spool_progress p") == before)
        #expect(try rig.load("verify", "--database").status == 0)
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
        // If two readings have the same key, the first record's reading is kept.
        #expect(try rig.query("SELECT count(*) FROM power_logs WHERE power = 8.9") == "50")
    }
}
