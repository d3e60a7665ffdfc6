import Foundation
import Postgres
import Testing

/// The loader behind PgBouncer. Transaction pooling works as well as session pooling, and the loader leaves no state in
/// the pool.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct PoolerTests {
    let rig: Rig

    init() throws { rig = try Rig(hasCluster: true) }

    private func post(_ device: String) throws {
        #expect(try rig.post(Rig.batch(device, minutes: 0..<10)).count("inserted") == 10)
    }

    @Test(arguments: ["session", "transaction"]) func everyCommandWorks(mode: String) throws {
        let pooler = try Pooler(mode, before: rig)
        let pooled = ["DATABASE_URL": pooler.url]
        try rig.query("DROP TABLE power_logs, spool_progress, spool_lease")
        try rig.expect(rig.load("migrate", environment: pooled), status: 0)
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096", "DATABASE_URL": pooler.url])
        for batch in 0..<3 { try post("plug-\(batch)") }
        try rig.expect(rig.load("drain", environment: pooled), status: 0)
        try rig.expect(rig.load("replay", environment: pooled), status: 0)
        #expect(try rig.load("stats", "--json", environment: pooled).text.contains("\"total_logs\":30"))
        #expect(try rig.get("/api/stats/queue").text.contains("\"total_logs\":30"))
        #expect(try rig.load("verify", "--database", environment: pooled).status == 0)
        let doctor = try rig.load("doctor", environment: pooled)
        #expect(doctor.status == 0 && doctor.text.contains("ok    pooling "), "\(doctor.text)")
        try rig.expectExactly(readings: 30)
        try expectNothingIsLeft(in: pooler)
    }

    @Test(arguments: ["session", "transaction"]) func aLargeLoadIsCopied(mode: String) throws {
        let pooler = try Pooler(mode, before: rig)
        try rig.startReceiver()
        for device in 0..<15 {
            #expect(try rig.post(Rig.batch("plug-\(device)", minutes: 0..<100)).count("inserted") == 100)
        }
        // Another writer has inserted the last key, so that the test can see COPY waiting for it.
        let rival = try rig.connect()
        let key = "plug-9_0_\(Rig.newestMinute)"
        _ = try rival.execute("BEGIN; INSERT INTO power_logs (idempotency_key) VALUES ('\(key)')")
        try rig.wait("no loader waits within COPY") {
            if !rig.isLoaderRunning { try rig.startLoader("drain", environment: ["DATABASE_URL": pooler.url]) }
            return try rig.query(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%'") == "1"
        }
        _ = try rival.execute("ROLLBACK")
        #expect(rig.awaitLoader() == 0)
        try rig.expectExactly(readings: 1500)
        try expectNothingIsLeft(in: pooler)
    }

    /// Invariant 10: a second loader with a copy of the spool is refused, even while the first one has nothing to load.
    @Test(arguments: ["session", "transaction"]) func aSecondLoaderIsRefused(mode: String) throws {
        let pooler = try Pooler(mode, before: rig)
        let pooled = ["DATABASE_URL": pooler.url]
        try rig.startReceiver()
        try post("plug")
        try rig.startLoader("drain", "--follow", environment: pooled)
        try rig.wait("the loader does not load") { try rig.query("SELECT count(*) FROM power_logs") == "10" }
        let copy = rig.directory + "/copy"
        try FileManager.default.copyItem(atPath: rig.spool, toPath: copy)
        let second = try rig.load("drain", environment: pooled.merging(["SPOOL_DIR": copy]) { $1 })
        #expect(second.status == 1 && second.text.contains("by another loader, perhaps from a copy"), "\(second.text)")
        #expect(rig.stopLoader() == 0)
        // A loader that has stopped in order does not block the next one.
        try rig.expect(
            rig.load("drain", environment: pooled.merging(["SPOOL_DIR": copy]) { $1 }), status: 0)
        try rig.expectExactly(readings: 10)
        try expectNothingIsLeft(in: pooler)
    }

    @Test(arguments: ["session", "transaction"]) func anOutcomeLostDuringCommitIsReadBack(mode: String) throws {
        let pooler = try Pooler(mode, before: rig)
        let proxy = try DatabaseProxy(to: pooler.port)
        defer { proxy.close() }
        try rig.startReceiver()
        var readings = 0
        for effect in [DatabaseProxy.Effect.cutBefore, .cutMeanwhile, .cutAfter] {
            try post("plug-\(effect)")
            readings += 10
            // The first COMMIT takes the lease. The rows come with the COMMIT after the dead letters and the progress.
            proxy.arm(effect, at: "COMMIT", behind: "UPDATE \"spool_lease\"")
            let reason = try rig.failToDrain(status: 75, ["DATABASE_URL": proxy.url])
            #expect(reason.contains("unavailable during COMMIT, whose outcome is unknown"))
            let rows = try rig.query("SELECT count(*) FROM power_logs WHERE device_id = 'plug-\(effect)'")
            if effect == .cutBefore { #expect(rows == "0") }
            if effect == .cutAfter { #expect(rows == "10") }
            var output = Rig.Output(status: 0, text: "")
            try rig.wait("the loader is still refused: \(output.text)") {
                output = try rig.load("drain", environment: ["DATABASE_URL": pooler.url])
                return output.status == 0
            }
            try rig.expectExactly(readings: readings)
        }
        #expect(try rig.query("SELECT sum(duplicates) FROM spool_progress") == "0")
        try expectNothingIsLeft(in: pooler)
    }

    /// PgBouncer reports all of this with the state of an outage. A wrong setting is exit 1, so that the service fails
    /// visibly (invariant 13).
    @Test(arguments: ["md5", "scram-sha-256"]) func aWrongSettingFailsWithExitCode1(authentication: String) throws {
        let pooler = try Pooler("transaction", authentication: authentication, before: rig)
        try rig.startReceiver()
        try post("plug")
        let server = "127.0.0.1:\(pooler.port)/"
        for (wrong, words) in [
            ("shelly:wrong@\(server)shelly", "authentication failed"), ("shelly@\(server)shelly", "no password"),
            ("nobody:right@\(server)shelly", "authentication failed"),
            ("shelly:right@\(server)no-such-database", "no such database"),
            ("shelly:right@\(server)shelly?options=-csearch_path%3Dx", "unsupported startup parameter"),
        ] {
            let reason = try rig.failToDrain(status: 1, ["DATABASE_URL": "postgresql://" + wrong])
            #expect(reason.contains(words) && reason.contains("correct DATABASE_URL"), "\(wrong): \(reason)")
            #expect(!reason.contains("right@") && !reason.contains("try again"), "\(reason)")
        }
        // A pooler that is full, and one whose server is away.
        var held: [Connection] = []
        let full = #expect(throws: PostgresError.self) {
            while held.count < 1000 {
                held.append(
                    try Connection(
                        pooler.url, applicationName: "test", connectTimeout: .seconds(Rig.hangSeconds)))
            }
        }
        #expect(full?.isTemporary == true && full?.description.contains("no more connections allowed") == true)
        #expect(try rig.failToDrain(status: 75, ["DATABASE_URL": pooler.url]).contains("no more connections allowed"))
        held = []
        try rig.expect(rig.load("drain", environment: ["DATABASE_URL": pooler.url]), status: 0)
        try rig.stopDatabase()
        _ = try rig.failToDrain(status: 75, ["DATABASE_URL": pooler.url, "LOADER_STATEMENT_SECONDS": "1"])
        try rig.startDatabase()
        try rig.expectExactly(readings: 10)
    }

    /// Expects no changed setting, no lock and no open transaction in the pool's sessions.
    private func expectNothingIsLeft(in pooler: Pooler) throws {
        #expect(try rig.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0")
        // Several transactions at the same time, so that the test reaches each of the pool's sessions.
        let connections = try (0..<8).map { _ in
            try Connection(pooler.url, applicationName: "test", connectTimeout: .seconds(Rig.hangSeconds))
        }
        for connection in connections {
            _ = try connection.execute("BEGIN")
            // PgBouncer itself sets application_name and client_encoding for each client.
            let left = try connection.execute(
                """
                SELECT string_agg(name || '=' || setting, ' ') FROM pg_settings WHERE source = 'session'
                    AND setting IS DISTINCT FROM reset_val AND name NOT IN ('application_name', 'client_encoding')
                """)
            #expect(left[0, 0] == nil)
        }
        #expect(
            try rig.query("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == "8")
    }
}
