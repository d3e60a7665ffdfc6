import Foundation
import Testing

/// The backlog as the receiver's statistics and the loader's `status` report it.
@Suite(.ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct BacklogTests {
    let rig: Rig

    init() throws { rig = try Rig(hasCluster: true) }

    private struct Backlog: Equatable {
        let segments: Int?
        let bytes: Int?
        let records: Int?
        let hasAge: Bool
    }

    private func receivers() throws -> (backlog: Backlog, age: Double) {
        let answer = try rig.get("/api/stats/spool")
        let backlog = answer.json["backlog"] as? [String: Any] ?? [:]
        let age = backlog["oldest_age_seconds"] as? Double
        let found = Backlog(
            segments: backlog["segments"] as? Int, bytes: backlog["bytes"] as? Int,
            records: backlog["records"] as? Int, hasAge: age != nil)
        return (found, age ?? 0)
    }

    private func loaders() throws -> (backlog: Backlog, age: Double) {
        let text = try rig.expect(rig.load("status", "--json"), status: 0)
        let status = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let age = status["oldest_unloaded_seconds"] as? Double
        let found = Backlog(
            segments: status["backlog_segments"] as? Int, bytes: status["backlog_bytes"] as? Int,
            records: status["backlog_records"] as? Int, hasAge: age != nil)
        return (found, age ?? 0)
    }

    /// Compares the two, and returns the number of records of both.
    private func records(_ situation: String) throws -> Int? {
        let before = try receivers()
        let loader = try loaders()
        let after = try receivers()
        #expect(before.backlog == loader.backlog && after.backlog == loader.backlog, "\(situation)")
        #expect(before.age <= loader.age && loader.age <= after.age, "\(situation)")
        return loader.backlog.records
    }

    @Test func receiverAndLoaderReportTheSameBacklog() throws {
        let settings = ["SPOOL_SEGMENT_BYTES": "4096"]
        func post(_ minutes: Range<Int>) throws {
            for minute in minutes {
                #expect(try rig.post(Rig.batch("plug", minutes: minute..<minute + 1)).status == 200)
            }
        }
        try rig.startReceiver(settings)
        #expect(try records("an empty spool") == 0)
        try post(0..<30)
        #expect(try records("several segments, none loaded") == 30)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try records("all loaded") == 0)
        try post(30..<33)
        #expect(try records("the open segment is loaded in part") == 3)
        rig.stopReceiver(SIGKILL)
        try rig.startReceiver(settings)
        try post(33..<60)
        #expect(try records("a segment without a footer, closed ones and an open one") == 30)
        try rig.stopDatabase("immediate")
        #expect(try records("by the spool's mark, with the database away") == 30)
        try rig.startDatabase()
        try rig.expect(rig.load("drain"), status: 0)
        rig.stopReceiver()
        try rig.startReceiver(settings)
        #expect(try records("a closed segment that is loaded except for its footer") == 0)
    }
}
