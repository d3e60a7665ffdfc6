import Foundation
import Testing

/// `DATABASE_SLEEP_SECONDS`: nothing stays connected to a serverless database, and nothing polls it.
@Suite(.ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct SleepTests {
    let rig: Rig
    let proxy: DatabaseProxy
    /// The longest time that can be set: no test lasts as long.
    let settings: [String: String]

    init() throws {
        rig = try Rig(hasCluster: true)
        proxy = try DatabaseProxy(to: rig.databasePort)
        settings = ["DATABASE_URL": proxy.url, "DATABASE_SLEEP_SECONDS": "86400", "LOG_LEVEL": "info"]
    }

    private var rows: String { get throws { try rig.query("SELECT count(*) FROM power_logs") } }

    private func post(_ minute: Int) throws {
        #expect(try rig.post(Rig.batch("plug", minutes: minute..<minute + 1)).count("inserted") == 1)
    }

    @discardableResult
    private func drain(_ arguments: [String] = [], sleep: String? = nil) throws -> String {
        var environment = settings
        if let sleep { environment["DATABASE_SLEEP_SECONDS"] = sleep }
        let output = try rig.run(
            Rig.binaries! + "/shelly-loader", ["drain"] + arguments,
            environment: environment.merging(["SPOOL_DIR": rig.spool]) { $1 })
        return try rig.expect(output, status: 0)
    }

    private func mark(_ content: String) throws {
        try content.write(toFile: rig.spool + "/database.json", atomically: true, encoding: .utf8)
    }

    @Test func aRunByTheTimerLeavesTheDatabaseAloneUntilItsTime() throws {
        try rig.startReceiver()
        try post(0)
        try drain()
        #expect(try rows == "1" && proxy.count.all == 1)

        // Neither with nothing to load, nor with a record.
        #expect(try drain().contains("left alone"))
        try post(1)
        #expect(try drain().contains("'drain --now' loads at once"))
        #expect(try rows == "1" && proxy.count.all == 1)
        try drain(["--now"])
        #expect(try rows == "2" && proxy.count.all == 2)

        try post(2)
        try rig.wait("the time passes and nothing is loaded") {
            try drain(sleep: "1")
            return try rows == "3"
        }
        // All is loaded, so the time alone is no reason.
        let used = proxy.count.all
        let mark = try String(contentsOfFile: rig.spool + "/database.json", encoding: .utf8)
        try self.mark(mark.replacing(/"used_at":"[^"]*"/, with: "\"used_at\":\"\(Self.past(3600))\""))
        #expect(try drain(sleep: "60").contains("left alone") && proxy.count.all == used)
        // The database may have been restored: it is used once a day.
        try self.mark(mark.replacing(/"used_at":"[^"]*"/, with: "\"used_at\":\"\(Self.past(90_000))\""))
        try drain()
        #expect(proxy.count.all == used + 1)
        // A mark of the future, as after the clock was set back, and one that is torn.
        for content in [mark.replacing(/"used_at":"[^"]*"/, with: "\"used_at\":\"\(Self.past(-3600))\""), "{\"used"] {
            let used = proxy.count.all
            try self.mark(content)
            try drain()
            #expect(proxy.count.all == used + 1, "\(content)")
        }
        rig.stopReceiver()
    }

    private static func past(_ seconds: TimeInterval) -> String {
        Date(timeIntervalSinceNow: -seconds).formatted(.iso8601)
    }

    @Test func aLoaderThatFollowsKeepsNoConnection() throws {
        try rig.startReceiver()
        try post(0)
        try rig.startLoader("drain", "--follow", environment: settings)
        try rig.wait("the record is not loaded") { try rows == "1" }
        try rig.wait("the connection stays open") { proxy.count.open == 0 }
        let drained = rig.spool + "/drained.json"
        let before = try String(contentsOfFile: drained, encoding: .utf8)
        // It is at work all the same.
        try rig.wait("the loader does not renew its mark") {
            try String(contentsOfFile: drained, encoding: .utf8) != before
        }
        #expect(proxy.count.all == 1 && proxy.count.open == 0)
        try post(1)
        rig.stopLoader()
        #expect(try rows == "1" && proxy.count.all == 1)
        // The database may be another one now.
        try rig.startLoader("drain", "--follow", environment: settings)
        try rig.wait("the record is not loaded after a start") { try rows == "2" }
        rig.stopLoader()
        rig.stopReceiver()
    }

    @Test func pagesAreAnsweredFromMemory() throws {
        try rig.startReceiver(settings)
        try post(0)
        try rig.expect(rig.load("drain"), status: 0)
        _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == 1 }
        _ = try rig.get("/") { $0.text.contains("8.9") }
        try rig.wait("a connection stays open") { proxy.count.open == 0 }
        let used = proxy.count.all
        try post(1)
        try rig.expect(rig.load("drain"), status: 0)
        for _ in 0..<5 {
            let statistics = try rig.get("/api/stats/queue")
            #expect(statistics.count("total_logs") == 1 && statistics.headers.contains("\r\nage: "))
            #expect(try rig.get("/").text.contains("8.9"))
        }
        #expect(proxy.count.all == used)
        // A page that was not open yet.
        _ = try rig.get("/devices/plug") { $0.text.contains("8.9") }
        #expect(proxy.count.all > used)
        rig.stopReceiver()
    }
}
