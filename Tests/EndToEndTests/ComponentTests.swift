import Foundation
import Testing

/// Devices whose power the default rules do not take: the receiver reports them everywhere, and one setting recovers
/// their readings (invariant 14).
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

    /// If adding the component helps one channel of a message and not another, the log and the page name it as the fix.
    @Test func theFixIsNamedIfItHelpsOneChannelOfAMessage() throws {
        try rig.startReceiver()
        let components = ["pm1:0", "pm1:1"].map { "\"\($0)\":{\"apower\":6}" }
        let messages = [components, components.reversed()].map { order in
            "{\"src\":\"both\",\"timestamp\":\(Rig.newestMinute * 60),"
                + "\"params\":{\"switch:0\":{\"apower\":1},\(order.joined(separator: ","))}}"
        }
        let answer = try rig.post("{\"messages\":[\(messages.joined(separator: ","))]}")
        #expect(answer.status == 200 && answer.count("untaken") == 4)
        #expect(
            try rig.receiverLog().contains("components: 4, one of them: pm1; INGEST_COMPONENTS=switch,pm1 takes it"))
        let page = try rig.get("/").text
        #expect(page.contains("(pm1): set INGEST_COMPONENTS=switch,pm1,") && !page.contains("does not help"), "\(page)")
    }

    private let power = "\"pm1:0\":{\"apower\":6.5,\"voltage\":230,\"current\":0.1}"

    @Test func untakenPowerIsReportedAndRecovered() throws {
        try rig.startReceiver()
        let answer = try rig.post(batch("pm-mini", power, minutes: 0..<3))
        #expect(answer.status == 200 && answer.count("inserted") == 0 && answer.count("untaken") == 3)
        #expect(try !rig.post(Rig.batch("plug", minutes: 0..<1)).text.contains("untaken"))
        let metrics = try rig.get("/metrics").text
        #expect(metrics.contains("shelly_untaken_total{component=\"pm1\"} 3"))
        #expect(metrics.contains("shelly_messages_without_readings_total 3"))
        let page = try rig.get("/").text
        #expect(page.contains("1 device sends power that becomes no reading: pm1.") && page.contains("pm-mini"))
        #expect(page.contains("shelly-loader replay --components switch,pm1&#39;"))
        #expect(try rig.receiverLog().contains("INGEST_COMPONENTS=switch,pm1 takes it"))
        let diagnosis = try rig.load("doctor")
        #expect(
            diagnosis.text.contains("pm-mini") && diagnosis.text.contains("set INGEST_COMPONENTS=switch,pm1, restart"),
            "\(diagnosis.text)")
        #expect(diagnosis.text.contains("'shelly-loader replay --components switch,pm1'"), "\(diagnosis.text)")
        rig.stopReceiver()
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "1")

        // With one setting changed the receiver takes new messages, and a replay inserts the spooled ones.
        try rig.startReceiver(["INGEST_COMPONENTS": "switch, pm1"])
        let taken = try rig.post(batch("pm-mini", power, minutes: 2..<5))
        #expect(taken.count("inserted") == 3 && !taken.text.contains("untaken"))
        rig.stopReceiver()
        // A later start restores the keys by the rules of their segments, not by its own.
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

    /// A device without readings is still listed, with the reason: on the page, in the API and in the metrics, before
    /// and after a kill, while the database is down.
    @Test func devicesWithoutReadingsAreListedWithTheReason() throws {
        let settings = ["DEVICE_SILENT_SECONDS": "18000", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"]
        try rig.startReceiver(settings)
        let messages = [
            ("meter", 0, "\"switch:0\":{\"apower\":null}"), ("meter", 600, "\"switch:0\":{\"apower\":5}"),
            ("faulty", 0, "\"switch:2\":{\"errors\":[\"power_meter_failure\"]}"), ("pm", 0, power),
            ("constant", 1, "\"switch:0\":{\"aenergy\":{\"total\":5}}"), ("constant", 2, "\"sys\":{}"),
            ("display", 0, "\"switch:0\":{\"output\":true}"), ("fine", 0, "\"switch:0\":{\"apower\":5}"),
            ("gone", 600, power),
        ]
        for (device, minutesAgo, component) in messages {
            #expect(try rig.post(batch(device, component, minutes: minutesAgo..<minutesAgo + 1)).status == 200)
        }
        func facts(_ answer: Rig.Answer) -> [String] {
            (answer.json["devices"] as? [[String: Any]] ?? []).map { device in
                func text(_ name: String) -> String { device[name].map { $0 is NSNull ? "-" : "\($0)" } ?? "absent" }
                let isHeard = text("last_heard").hasSuffix("+00:00")
                return [text("id"), isHeard ? "heard" : "", text("reason"), text("component")].joined(separator: " ")
                    + (text("silent") == "1" ? " silent" : "") + (text("last_seen") == "-" ? "" : " seen")
            }
        }
        let expected = [
            "constant heard energy_alone switch:0", "display heard no_power -", "faulty heard errors switch:2",
            "fine heard - - seen", "gone heard - - silent", "meter heard null switch:0 seen", "pm heard untaken pm1:0",
        ]
        for isAfterKill in [false, true] {
            let list = try rig.get("/api/devices") { facts($0).count == 7 }
            #expect(facts(list) == expected, "after a kill: \(isAfterKill)")
            #expect(list.count("silent") == 1 && list.count("without_readings") == 5)
            let some = try rig.get("/api/devices?without_readings=true&limit=2") { $0.status != 503 }
            #expect(facts(some) == Array(expected[..<2]) && some.count("matching") == 5)
            let metrics = try rig.get("/metrics") { $0.text.contains("shelly_devices_silent 1") }.text
            #expect(metrics.contains("shelly_devices_without_readings 5"))
            #expect(metrics.contains("shelly_devices_without_meter 1"))
            #expect(metrics.contains("shelly_devices_energy_alone 1") && metrics.contains("shelly_devices 7"))
            let page = try rig.get("/") { $0.text.contains("4 of 7 devices are heard, but without readings.") }.text
            #expect(page.contains("the meter of switch:2 is broken") && page.contains("1 of 7 devices is silent."))
            let day = try rig.get("/api/devices/meter") { $0.status != 503 }
            #expect(
                day.text.contains(#""without_readings":true,"reason":"null","component":"switch:0""#), "\(day.text)")
            let own = try rig.get("/devices/pm") { $0.status != 503 }.text
            #expect(own.contains("but without readings.") && own.contains("INGEST_COMPONENTS"))
            rig.stopReceiver(SIGKILL)
            try rig.startReceiver(settings)
        }
        // A reading clears the reason.
        #expect(try rig.post(batch("meter", "\"switch:0\":{\"apower\":5}", minutes: 0..<1)).status == 200)
        _ = try rig.get("/metrics") { $0.text.contains("shelly_devices_without_readings 4") }
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
        // The next message but one: its oldest minute is the newest one of the first message.
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
