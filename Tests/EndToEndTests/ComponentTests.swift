import Foundation
import Testing

/// Devices whose power the default rules do not take: said everywhere, and recovered by one setting (invariant 14).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct ComponentTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    private func batch(_ device: String, _ component: String, minutes: Range<Int>) -> String {
        let messages = minutes.map {
            "{\"src\":\"\(device)\",\"timestamp\":\((Rig.newestMinute - $0) * 60),\"params\":{\(component)}}"
        }
        return "{\"messages\":[\(messages.joined(separator: ","))]}"
    }

    private let power = "\"pm1:0\":{\"apower\":6.5,\"voltage\":230,\"current\":0.1}"

    @Test func untakenPowerIsSaidAndRecovered() throws {
        try rig.startReceiver()
        let answer = try rig.post(batch("pm-mini", power, minutes: 0..<3))
        #expect(answer.status == 200 && answer.count("inserted") == 0 && answer.count("untaken") == 3)
        #expect(try !rig.post(Rig.batch("plug", minutes: 0..<1)).text.contains("untaken"))
        let metrics = try rig.get("/metrics").text
        #expect(metrics.contains("shelly_untaken_total{component=\"pm1\"} 3"))
        #expect(metrics.contains("shelly_messages_without_readings_total 3"))
        let page = try rig.get("/").text
        #expect(page.contains("1 device sends power that becomes no reading: pm1.") && page.contains("pm-mini"))
        #expect(try rig.receiverLog().contains("INGEST_COMPONENTS=switch,pm1 takes it"))
        let diagnosis = try rig.load("doctor")
        #expect(diagnosis.text.contains("pm-mini") && diagnosis.text.contains("INGEST_COMPONENTS"), "\(diagnosis.text)")
        rig.stopReceiver()
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "1")

        // One setting changed: new messages are taken, and what is spooled is brought by a replay.
        try rig.startReceiver(["INGEST_COMPONENTS": "switch, pm1"])
        let taken = try rig.post(batch("pm-mini", power, minutes: 2..<5))
        #expect(taken.count("inserted") == 3 && !taken.text.contains("untaken"))
        rig.stopReceiver()
        // The ledger of a later start has the keys by the rules of their segments, whatever its own are.
        try rig.startReceiver()
        #expect(try rig.post(batch("pm-mini", power, minutes: 2..<5)).count("untaken") == 3)
        #expect(try rig.get("/api/devices").text.contains("pm-mini"))
        rig.stopReceiver()
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs WHERE device_id = 'pm-mini'") == "3")
        try rig.expect(rig.load("verify", "--database"), status: 0)

        let dry = try rig.expect(rig.load("replay", "--components", "pm1", "--dry-run", "--json"), status: 0)
        #expect(dry.contains("\"readings\":3"))
        try rig.expect(rig.load("replay", "--components", "switch,pm1", "--device", "pm-mini"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs WHERE device_id = 'pm-mini'") == "5")
        #expect(
            try rig.query("SELECT min(channel) || ' ' || max(power) FROM power_logs WHERE device_id = 'pm-mini'")
                == "0 6.5")
        try rig.expect(rig.load("verify", "--database"), status: 0)
        let wrong = try rig.load("replay", "--components", "meter")
        #expect(wrong.status != 0 && wrong.text.contains("expected all, or a list of switch"), "\(wrong.text)")
    }

    /// The mean power of each whole minute, from the message to the table.
    @Test func energyBecomesRowsOfWholeMinutes() throws {
        try rig.startReceiver(["INGEST_COMPONENTS": "all", "INGEST_POWER": "energy"])
        func counters(_ minute: Int, _ array: String) -> String {
            "\"switch:0\":{\"apower\":1,\"aenergy\":{\"by_minute\":\(array),\"minute_ts\":\(minute * 60)}}"
        }
        let now = Rig.newestMinute - 5
        let first = try rig.post(batch("plug", counters(now, "[1000,500,250]"), minutes: 5..<6))
        #expect(first.count("inserted") == 3)
        // The next message but one: its first minute is the newest of the message before.
        let second = try rig.post(batch("plug", counters(now + 2, "[4000,2000,1000]"), minutes: 3..<4))
        #expect(second.count("inserted") == 2 && second.count("duplicates") == 1)
        rig.stopReceiver()
        try rig.expect(rig.load("drain"), status: 0)
        let rows = try rig.query("SELECT string_agg(power::text, ' ' ORDER BY timestamp) FROM power_logs")
        #expect(rows == "15 30 60 120 240")
        #expect(
            try rig.query(
                "SELECT count(*) FROM power_logs WHERE voltage IS NULL AND extract(second FROM timestamp) = 0") == "5")
        try rig.expect(rig.load("verify", "--database"), status: 0)
    }
}
