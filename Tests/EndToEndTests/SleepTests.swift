import Foundation
import Testing

/// `DATABASE_SLEEP_SECONDS`: no connection to a serverless database stays open, and no program polls it.
@Suite(.ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct SleepTests {
    let rig: Rig
    let proxy: DatabaseProxy
    /// The longest possible sleep, longer than any test.
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

    @Test func aTimersRunConnectsOnlyAfterTheSleep() throws {
        try rig.startReceiver()
        try post(0)
        try drain()
        #expect(try rows == "1" && proxy.count.all == 1)

        // The run does not connect, neither with nothing to load nor with a pending record.
        #expect(try drain().contains("left alone"))
        try post(1)
        #expect(try drain().contains("'drain --now' loads at once"))
        #expect(try rows == "1" && proxy.count.all == 1)
        try drain(["--now"])
        #expect(try rows == "2" && proxy.count.all == 2)

        try post(2)
        try rig.wait("no record is loaded after the sleep") {
            try drain(sleep: "1")
            return try rows == "3"
        }
        // Everything is loaded, so the time alone is no reason to connect.
        let used = proxy.count.all
        let mark = try String(contentsOfFile: rig.spool + "/database.json", encoding: .utf8)
        try self.mark(mark.replacing(/"used_at":"[^"]*"/, with: "\"used_at\":\"\(Self.past(3600))\""))
        #expect(try drain(sleep: "60").contains("left alone") && proxy.count.all == used)
        // The loader still connects once a day, because the database may have been restored.
        try self.mark(mark.replacing(/"used_at":"[^"]*"/, with: "\"used_at\":\"\(Self.past(90_000))\""))
        try drain()
        #expect(proxy.count.all == used + 1)
        // A mark in the future, as after the clock was set back, and a torn mark.
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

    @Test func aLoaderThatFollowsClosesItsConnection() throws {
        try rig.startReceiver()
        try post(0)
        try rig.startLoader("drain", "--follow", environment: settings)
        try rig.wait("the record is not loaded") { try rows == "1" }
        try rig.wait("the connection stays open") { proxy.count.open == 0 }
        let drained = rig.spool + "/drained.json"
        let before = try String(contentsOfFile: drained, encoding: .utf8)
        // The loader still runs.
        try rig.wait("the loader does not renew its mark") {
            try String(contentsOfFile: drained, encoding: .utf8) != before
        }
        #expect(proxy.count.all == 1 && proxy.count.open == 0)
        try post(1)
        rig.stopLoader()
        #expect(try rows == "1" && proxy.count.all == 1)
        // At a start the loader connects, because the database may be another one.
        try rig.startLoader("drain", "--follow", environment: settings)
        try rig.wait("the record is not loaded after a start") { try rows == "2" }
        rig.stopLoader()
        rig.stopReceiver()
    }

    @Test func pagesAreAnsweredFromTheCache() throws {
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
        // A page that was not requested before.
        _ = try rig.get("/devices/plug") { $0.text.contains("8.9") }
        #expect(proxy.count.all > used)
        rig.stopReceiver()
    }
}
