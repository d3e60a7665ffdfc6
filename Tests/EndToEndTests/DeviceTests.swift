import Foundation
import Postgres
import Testing

/// Devices over HTTP, with the loader and a real database that stops and starts.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct DeviceTests {
    let rig: Rig
    /// Taken at the test's start: all tests together take longer than the time after which a device counts as silent.
    private let newestMinute = Int(Date().timeIntervalSince1970) / 60

    init() throws { rig = try Rig(hasCluster: true) }

    private typealias Object = [String: Any]

    private func message(_ src: String, minutesAgo: Int, powers: [Int: Double]) throws -> Object {
        [
            "src": src, "timestamp": (newestMinute - minutesAgo) * 60,
            "params": Dictionary(uniqueKeysWithValues: powers.map { ("switch:\($0.key)", ["apower": $0.value]) }),
        ]
    }

    private func post(_ messages: [Object]) throws {
        let body = try JSONSerialization.data(withJSONObject: ["messages": messages])
        try #require(rig.post(String(decoding: body, as: UTF8.self)).status == 200)
    }

    private func devices(_ answer: Rig.Answer) -> [Object] { answer.json["devices"] as? [Object] ?? [] }

    private static func encoded(_ name: String) -> String {
        name.utf8.map { String(format: "%%%02X", $0) }.joined()
    }

    /// The points of a device's channel: the power by minutes ago.
    private func points(_ day: Rig.Answer, channel: Int) -> [Int: Double?] {
        let channels = day.json["channels"] as? [Object] ?? []
        let points = channels.first { $0["channel"] as? Int == channel }?["points"] as? [Object] ?? []
        return Dictionary(
            uniqueKeysWithValues: points.map { point in
                (newestMinute - (point["timestamp"] as? Int ?? 0) / 60, point["power"] as? Double)
            })
    }

    /// Requests the path until the answer matches. By default, until the ledger has answered within its timeout of one
    /// second.
    private func get(
        _ path: String, until isSo: (Rig.Answer) -> Bool = { $0.status != 503 }
    ) throws -> Rig.Answer { try rig.get(path, until: isSo) }

    private func isDatabase(_ state: String, in answer: Rig.Answer) -> Bool {
        answer.json["database"] as? String == state
    }

    @Test func theSpoolKnowsTheDevicesAndTheDatabaseTheirPowers() throws {
        // Ten hours, longer than any test runs.
        try rig.startReceiver(["DEVICE_SILENT_SECONDS": "36000"])
        let none = try get("/api/devices") { isDatabase("ok", in: $0) }
        #expect(
            none.text.hasSuffix(
                #""total":0,"silent":0,"without_readings":0,"matching":0,"silent_after_seconds":36000,"database":"ok"}"#
            ))
        try post([
            message("plug", minutesAgo: 2, powers: [0: 8.9, 3: -0.25]),
            message("plug", minutesAgo: 1, powers: [0: 9.1]),
            message("plug", minutesAgo: 70, powers: [0: 1e-7]),
            message("gone", minutesAgo: 2000, powers: [1: 3]),
        ])

        // The readings are durable and not loaded: the table is empty.
        let spooled = try get("/api/devices") { devices($0).count == 2 && isDatabase("ok", in: $0) }
        #expect(spooled.count("total") == 2 && spooled.count("silent") == 1)
        #expect(devices(spooled).map { $0["id"] as? String } == ["gone", "plug"])
        #expect(devices(spooled).map { $0["silent"] as? Bool } == [true, false])
        let channels = devices(spooled)[1]["channels"] as? [Object] ?? []
        #expect(channels.compactMap { $0["channel"] as? Int } == [0, 3])
        #expect(channels.allSatisfy { $0["power"] is NSNull && $0["power_at"] is NSNull })
        #expect((devices(spooled)[1]["activity"] as? [Int])?.reduce(0, +) == 4)
        #expect((devices(spooled)[0]["activity"] as? [Int]) == Array(repeating: 0, count: 24))
        #expect(points(try get("/api/devices/plug"), channel: 0) == [2: nil, 1: nil, 70: nil])

        try rig.expect(rig.load("drain"), status: 0)
        let loaded = try get("/api/devices") { $0.text.contains("9.1") }
        let first = try #require((devices(loaded)[1]["channels"] as? [Object])?.first)
        #expect(first["power"] as? Double == 9.1)
        #expect(first["power_at"] as? String == first["last_seen"] as? String)
        #expect((first["hourly_power"] as? [Any])?.compactMap { $0 as? Double } == [1e-7, 9.1])
        let day = try get("/api/devices/plug") { $0.text.contains("8.9") }
        #expect(points(day, channel: 0) == [2: 8.9, 1: 9.1, 70: 1e-7])
        #expect(points(day, channel: 3) == [2: -0.25] && (day.json["channels"] as? [Object])?.count == 2)

        // A device that only the database has is found in the database.
        try rig.query(
            """
            INSERT INTO power_logs (device_id, channel, power, "timestamp", idempotency_key)
            VALUES ('old', 0, 5, '2024-11-24 00:01Z', 'old_0_28873441'),
                ('old', 0, 'NaN', '2024-11-24 00:02Z', 'old_0_28873442')
            """)
        let old = try get("/api/devices/old?day=2024-11-24") { isDatabase("ok", in: $0) }
        #expect(old.status == 200 && old.text.contains(#""last_seen":null"#))
        #expect(old.text.contains(#""points":[{"timestamp":1732406460,"power":5.0}]"#))
        #expect(try get("/api/devices/old").status == 404)
    }

    @Test func powersAreShownFromEveryColumnType() throws {
        try rig.startReceiver()
        for (minutesAgo, type) in ["real", "numeric(10,2)", "double precision"].enumerated() {
            try rig.query("DELETE FROM power_logs; ALTER TABLE power_logs ALTER power TYPE \(type)")
            try post([message("plug", minutesAgo: minutesAgo, powers: [0: 8.9])])
            try rig.expect(rig.load("drain"), status: 0)
            let day = try get("/api/devices/plug") { points($0, channel: 0)[minutesAgo] == 8.9 }
            #expect(points(day, channel: 0).count == minutesAgo + 1, "\(type)")
        }
    }

    @Test func theDevicesAreTheSameWithoutTheDatabaseAndAfterAKill() throws {
        // No device's age is within half an hour of this limit.
        let settings = ["DEVICE_SILENT_SECONDS": "5400"]
        try rig.startReceiver(settings)
        try post(
            (0..<20).map { try message("plug-\($0)", minutesAgo: 60 * $0, powers: [$0 % 4: Double($0)]) })
        try rig.expect(rig.load("drain"), status: 0)
        func facts(_ answer: Rig.Answer) -> [String] {
            devices(answer).map { device in
                let channels = (device["channels"] as? [Object] ?? []).map { "\($0["channel"]!) \($0["last_seen"]!)" }
                return "\(device["id"]!) \(device["last_seen"]!) \(device["silent"]!) \(channels)"
            }
        }
        let up = try get("/api/devices") { devices($0).count == 20 && $0.text.contains("19.0") }
        try rig.stopDatabase("immediate")
        let away = try get("/api/devices") { isDatabase("away", in: $0) }
        #expect(away.status == 200)
        #expect(facts(away) == facts(up) && away.count("silent") == up.count("silent"))
        #expect(away.text.contains("19.0") == false)
        let day = try get("/api/devices/plug-1")
        #expect(day.status == 200 && points(day, channel: 1) == [60: nil])

        rig.stopReceiver(SIGKILL)
        try rig.startReceiver(settings)
        #expect(facts(try get("/api/devices")) == facts(up))
        try rig.startDatabase()
        let again = try get("/api/devices") { isDatabase("ok", in: $0) }
        #expect(facts(again) == facts(up) && again.text.contains("19.0"))
    }

    @Test func aHangingDatabaseDelaysNoRequestBeyondItsTimeout() throws {
        try rig.startReceiver()
        try post([message("plug", minutesAgo: 0, powers: [0: 1])])
        try rig.expect(rig.load("drain"), status: 0)
        _ = try get("/api/devices/plug") { $0.text.contains("1.0") }
        let holder = try rig.connect()
        _ = try holder.execute("BEGIN; LOCK TABLE power_logs")
        // All requests are answered while the lock is held.
        let answer = try get("/api/devices/plug") { isDatabase("away", in: $0) }
        #expect(answer.status == 200)
        #expect(try rig.post(Rig.batch("other", minutes: 0..<1)).status == 200)
        for path in ["/api/devices/plug", "/api/devices"] {
            let first = try rig.get(path, within: 2.5)
            #expect(isDatabase("away", in: first), "\(path): \(first.text)")
        }
        holder.close()
    }

    @Test func hostileNamesAreOnlyText() throws {
        let names = [
            "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "a/b", "../../etc/passwd", "100%", "%2F",
            "a+b c?d#e&f=g",
            "'; DROP TABLE power_logs; --", "\u{202E}\u{2066}rtl\u{2069}", "\\u0000\\", "{}", "e\u{0301}", "é",
            String(repeating: "😀", count: 32),
        ]
        try rig.startReceiver()
        try post(names.map { try message($0, minutesAgo: 1, powers: [0: 4.5]) })
        try rig.expect(rig.load("drain"), status: 0)
        let list = try get("/api/devices")
        let found = devices(list).map { Array(($0["id"] as? String ?? "").utf8) }
        #expect(found == names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
        for name in names {
            let day = try get("/api/devices/" + Self.encoded(name) + "?day=") { isDatabase("ok", in: $0) }
            #expect(day.status == 200 && points(day, channel: 0) == [1: 4.5], "\(name)")
            #expect((day.json["id"] as? String).map { Array($0.utf8) } == Array(name.utf8))
            let search = try get("/api/devices?search=" + Self.encoded(name))
            #expect(devices(search).contains { ($0["id"] as? String)?.utf8.elementsEqual(name.utf8) == true })
        }
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "\(names.count)")
    }

    @Test func aThousandDevicesArePagedThroughWithoutLossOrRepeat() throws {
        try rig.startReceiver(["DEVICE_SILENT_SECONDS": "18000"])
        let names = (0..<1000).map { "shelly-\($0 * 7919 % 1000) \($0 % 3 == 0 ? "é" : "%")" }
        try post(names.map { try message($0, minutesAgo: $0.hasSuffix("é") ? 600 : 0, powers: [0: 1]) })
        for (query, wanted) in [
            ("limit=200", names), ("limit=37&silent=true", names.filter { $0.hasSuffix("é") }),
            ("limit=61&search=SHELLY-9", names.filter { $0.hasPrefix("shelly-9") }),
        ] {
            var seen: [String] = []
            var after = ""
            while true {
                let page = try get("/api/devices?\(query)&after=\(Self.encoded(after))")
                #expect(page.count("total") == 1000 && page.count("silent") == 334)
                #expect(page.count("matching") == wanted.count)
                seen += devices(page).compactMap { $0["id"] as? String }
                guard let next = page.json["next"] as? String else { break }
                #expect(next == seen.last && seen.count < 1000)
                after = next
            }
            #expect(seen == wanted.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
        }
        // A page of more than 50 devices omits the hourly power.
        let channel = try devices(get("/api/devices?limit=51")).first.flatMap {
            ($0["channels"] as? [Object])?.first
        }
        #expect((channel?["hourly_power"] as? [Any])?.isEmpty == true)
    }

    @Test func requestErrorsHaveTheShapeOfTheInterface() throws {
        try rig.startReceiver()
        try post([message("plug", minutesAgo: 0, powers: [0: 1])])
        for path in ["/api/devices/nobody", "/api/devices/", "/api/devices/%00", "/api/devicesx", "/api/devices/%20"] {
            #expect(try [404, 422].contains(get(path).status), "\(path)")
        }
        #expect(try get("/api/devices/nobody").text == #"{"detail":"Not Found"}"#)
        for path in [
            "/api/devices?limit=0", "/api/devices?silent=x", "/api/devices/plug?day=2026-02-30",
            "/api/devices?after=%FF",
        ] {
            let answer = try rig.get(path)
            #expect(answer.status == 422 && answer.text.contains(#""loc":["query""#), "\(path): \(answer.text)")
        }
        #expect(try get("/api/devices").headers.contains("cache-control: no-store"))
    }

    @Test func devicesNeedReadAccess() throws {
        try rig.startReceiver()
        for path in ["/api/devices", "/api/devices/plug"] {
            #expect(try rig.get(path, "-H", "X-Forwarded-For: 192.0.2.1").status == 403)
        }
        rig.stopReceiver()
        try rig.startReceiver(["READ_API_KEY": "reader"])
        for path in ["/api/devices", "/api/devices/plug"] {
            #expect(try rig.get(path).status == 401)
            #expect(try rig.get(path, "-H", "X-API-Key: \(Rig.key)").status == 401)
        }
        let arguments = ["-H", "Authorization: Bearer reader"]
        let answer = try rig.get("/api/devices", with: arguments) { $0.status != 503 }
        #expect(answer.status == 200)
    }
}
