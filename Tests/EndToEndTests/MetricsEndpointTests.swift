import Foundation
import Testing

/// `GET /metrics` of a real receiver, in good and in bad states.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct MetricsEndpointTests {
    let rig: Rig

    init() throws { rig = try Rig(hasCluster: true) }

    /// The samples by name and labels, scraped until they match. A scrape waits at most three seconds for the disk,
    /// which a busy machine can exceed.
    private func scrape(
        until isSo: ([String: Double]) -> Bool = { $0["shelly_spool_readable"] == 1 }
    ) throws -> [String: Double] {
        var samples: [String: Double] = [:]
        try rig.wait("the metrics never have the expected values") {
            samples = try scrapeOnce()
            return isSo(samples)
        }
        return samples
    }

    private func scrapeOnce() throws -> [String: Double] {
        let answer = try rig.get("/metrics")
        #expect(answer.status == 200)
        #expect(answer.headers.contains("content-type: text/plain; version=0.0.4; charset=utf-8"))
        var samples: [String: Double] = [:]
        for line in answer.text.split(separator: "\n") where !line.hasPrefix("#") {
            let space = try #require(line.lastIndex(of: " "))
            let value = Double(line[space...].dropFirst().replacingOccurrences(of: "Inf", with: "infinity"))
            #expect(samples.updateValue(try #require(value), forKey: String(line[..<space])) == nil, "\(line)")
        }
        return samples
    }

    @Test func acceptedAndRefusedBatchesAreCounted() throws {
        let start = Date().timeIntervalSince1970
        try rig.startReceiver(["INGEST_HEAD_SECONDS": "1", "INGEST_BODY_SECONDS": "1"])
        for _ in 0..<2 { #expect(try rig.post(Rig.batch("a", minutes: 0..<3)).status == 200) }
        let faulty = #"{"messages":[{"src":"b","timestamp":60,"params":{"switch:0":{"apower":"x"}}},7]}"#
        #expect(try rig.post(faulty, headers: ["Prefer: handling=lenient"]).status == 200)
        #expect(try rig.post(faulty).status == 422)
        #expect(try rig.post(faulty, key: "wrong").status == 401)
        #expect(try rig.post(faulty, headers: ["Content-Encoding: gzip"]).status == 415)
        #expect(try rig.get("/api/ingest/batch").status == 405)
        #expect(try rig.get("/nowhere").status == 404)
        // These two requests never reach a handler.
        for (request, status) in [("NONSENSE\r\n\r\n", "400"), ("GET / HTTP/1.1\r\n", "408")] {
            let client = try RawClient(port: rig.port)
            try client.send(request)
            #expect(try client.receive().hasPrefix("HTTP/1.1 " + status))
        }

        let samples = try scrape { $0["shelly_spool_readable"] == 1 && $0["shelly_ready"] == 1 }
        let expected: [String: Double] = [
            "shelly_batches_total": 3, "shelly_messages_total": 8, "shelly_invalid_messages_total": 1,
            #"shelly_readings_total{outcome="inserted"}"#: 3, #"shelly_readings_total{outcome="duplicate"}"#: 3,
            #"shelly_readings_total{outcome="error"}"#: 1, #"shelly_ack_seconds_bucket{le="+Inf"}"#: 3,
            "shelly_ack_seconds_count": 3, "shelly_group_batches_sum": 3, "shelly_fdatasync_seconds_count": 3,
            "shelly_ready": 1, "shelly_spool_writable": 1, "shelly_spool_readable": 1, "shelly_devices": 2,
            "shelly_devices_silent": 1, "shelly_devices_without_readings": 0, "shelly_spool_backlog_records": 3,
            "shelly_spool_backlog_segments": 1,
            #"shelly_spool_segments{folder="pending"}"#: 1, #"shelly_spool_segments{folder="loaded"}"#: 0,
            "shelly_spool_limit_bytes": .infinity, "shelly_loader_last_success_timestamp_seconds": 0,
        ]
        for (name, value) in expected { #expect(samples[name] == value, "\(name)") }
        let refusals = samples.filter { $0.key.hasPrefix("shelly_refusals_total") && $0.value > 0 }
        #expect(
            refusals == [
                #"shelly_refusals_total{reason="invalid"}"#: 1, #"shelly_refusals_total{reason="unauthorized"}"#: 1,
                #"shelly_refusals_total{reason="encoding"}"#: 1, #"shelly_refusals_total{reason="method"}"#: 1,
                #"shelly_refusals_total{reason="malformed"}"#: 1, #"shelly_refusals_total{reason="timeout"}"#: 1,
            ])
        expectNow(samples["shelly_last_batch_timestamp_seconds"], since: start)
        #expect(samples["process_start_time_seconds"]! <= Date().timeIntervalSince1970)
    }

    /// Expects a time between the start of the test and now.
    private func expectNow(_ time: Double?, since start: Double, _ name: Comment? = nil) {
        let now = Date().timeIntervalSince1970
        #expect(time.map { (start - 1...now + 1).contains($0) } == true, name)
    }

    @Test func theLoadersSuccessIsReportedEvenWithNothingToLoad() throws {
        let start = Date().timeIntervalSince1970
        try rig.startReceiver()
        #expect(try rig.post(Rig.batch("a", minutes: 0..<3)).status == 200)
        try rig.expect(rig.load("drain"), status: 0)
        let loaded = try scrape()
        #expect(loaded["shelly_spool_backlog_records"] == 0)
        #expect(loaded["shelly_spool_oldest_unloaded_seconds"] == 0)
        for name in ["load", "success"] {
            expectNow(loaded["shelly_loader_last_\(name)_timestamp_seconds"], since: start, "\(name)")
        }
        try rig.expect(rig.load("drain"), status: 0)
        let idle = try scrape()
        let success = "shelly_loader_last_success_timestamp_seconds"
        let load = "shelly_loader_last_load_timestamp_seconds"
        #expect(try #require(idle[success]) > loaded[success]!)
        #expect(idle[load] == loaded[load])

        // The database is down: the receiver accepts batches, and the time of the loader's last success does not
        // change.
        try rig.stopDatabase()
        #expect(try rig.post(Rig.batch("a", minutes: 3..<4)).status == 200)
        #expect(try rig.load("drain").status == 75)
        let away = try scrape()
        #expect(away[success] == idle[success] && away["shelly_spool_backlog_records"] == 1)
    }

    @Test func aScrapeOmitsOnlyTheMetricsOfAnUnreadableSpool() throws {
        try rig.startReceiver()
        #expect(try rig.post(Rig.batch("a", minutes: 0..<3)).status == 200)
        try FileManager.default.moveItem(atPath: rig.spool + "/pending", toPath: rig.spool + "/elsewhere")
        let gone = try scrape { $0["shelly_spool_readable"] == 0 }
        #expect(gone["shelly_spool_readable"] == 0 && gone["shelly_batches_total"] == 1)
        #expect(gone["shelly_spool_backlog_records"] == nil && gone["shelly_devices"] == 1)
        try FileManager.default.moveItem(atPath: rig.spool + "/elsewhere", toPath: rig.spool + "/pending")
        #expect(try scrape()["shelly_spool_backlog_records"] == 1)

        // After a restart the counters begin at zero, and the metrics of the ledger have their values from the first
        // scrape.
        rig.stopReceiver()
        try rig.startReceiver()
        let fresh = try scrape()
        #expect(fresh["shelly_batches_total"] == 0 && fresh["shelly_devices"] == 1)
        #expect(try #require(fresh["shelly_ledger_bytes"]) > 0)
    }

    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func aFailingDiskIsNotWritableAndNotReady() throws {
        try rig.startReceiver()
        try Strace.injecting("fdatasync:error=EIO", into: rig) {
            #expect(try rig.post(Rig.batch("a", minutes: 0..<3)).status == 503)
            let failing = try scrapeOnce()
            #expect(failing["shelly_spool_writable"] == 0 && failing["shelly_ready"] == 0)
            #expect(failing[#"shelly_refusals_total{reason="spool_failing"}"#] == 1)
            #expect(failing["shelly_fdatasync_seconds_count"] == 0)
        }
        // The scrape itself checks that the disk works again.
        let well = try scrape { $0["shelly_ready"] == 1 }
        #expect(well["shelly_spool_writable"] == 1)
    }

    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func aScrapeIsAnsweredWhileTheDiskHangs() throws {
        try rig.startReceiver()
        try Strace.injecting("statfs:" + Strace.hang, into: rig) {
            for _ in 0..<2 {
                let answer = try rig.get("/metrics")
                #expect(answer.status == 200)
                #expect(answer.text.contains("\nshelly_spool_readable 0\n"))
                #expect(answer.text.contains("\nshelly_ready 0\n"))
                #expect(answer.text.contains("\nshelly_batches_total 0\n"))
            }
        }
    }
}
