import Foundation
import Testing

/// `shelly-receiver --check`, before a start and while a receiver runs.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct CheckTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    private func check(_ arguments: String..., environment: [String: String] = [:]) throws -> Rig.Output {
        try rig.run(
            Rig.binaries! + "/shelly-receiver", ["--check"] + arguments,
            environment: [
                "INGEST_API_KEY": Rig.key, "SPOOL_DIR": rig.spool, "PORT": "\(rig.port)",
                "DATABASE_URL": rig.databaseURL,
            ].merging(environment) { $1 })
    }

    /// Probes until the report has these words: a probe has timeouts, which a busy machine can exceed.
    private func probe(
        until words: String, _ argument: String = "--probe", environment: [String: String] = [:]
    ) throws -> Rig.Output {
        var output = Rig.Output(status: 0, text: "")
        try rig.wait("no '\(words)' in: \(output.text)") {
            output = try check(argument, environment: environment)
            return output.text.contains(words)
        }
        return output
    }

    @Test func checkFindsFaultsThatWouldStopTheStart() throws {
        var output = try check(environment: ["INGEST_API_KEY": ""])
        #expect(output.status == 1 && output.text.contains("FAIL  key "), "\(output.text)")
        #expect(output.text.contains("there is none at \(rig.spool) yet; the receiver creates it"))
        #expect(!FileManager.default.fileExists(atPath: rig.spool))
        output = try check(environment: ["PORT": "x", "SPOOL_BITES": "1"])
        #expect(output.status == 1 && output.text.contains("SPOOL_BITES") && output.text.contains("PORT must be"))
        try rig.startReceiver(["SPOOL_DIR": rig.directory + "/other"])
        output = try check(environment: ["PORT": "\(rig.port)"])
        #expect(output.status == 1 && output.text.contains("FAIL  address "), "\(output.text)")
        #expect(output.text.contains("PORT \(rig.port): Address already in use; stop"), "\(output.text)")
        let second = try rig.run(
            Rig.binaries! + "/shelly-receiver", [],
            environment: ["HOST": "127.0.0.1", "PORT": "\(rig.port)", "SPOOL_DIR": rig.directory + "/second"])
        #expect(second.text.hasSuffix("PORT \(rig.port): Address already in use\n"), "\(second.text)")
        output = try check(environment: ["INGEST_API_KEY": "0123456789abcdef0123456789abcdef", "PORT": "0"])
        #expect(output.status == 0, "\(output.text)")
        // Ingest works without a database.
        output = try check(environment: ["DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x", "PORT": "0"])
        #expect(output.status == 0 && output.text.contains("warn  database "), "\(output.text)")
        #expect(!output.text.contains("hunter2"))
        #expect(try rig.run(Rig.binaries! + "/shelly-receiver", ["--probe"]).status == 64)
    }

    @Test func theProbeChecksTheURLAndTheKey() throws {
        var output = try check("--probe", "--url", "http://127.0.0.1:1")
        #expect(output.status == 1 && output.text.contains("FAIL  probe "), "\(output.text)")
        try rig.startReceiver()
        output = try probe(until: "ok    probe key ")
        #expect(output.status == 0, "\(output.text)")
        #expect(output.text.contains("process \(rig.receiverProcess) uses this spool"))
        output = try probe(
            until: "refuses the key that is configured here",
            environment: ["INGEST_API_KEY": "fedcba9876543210fedcba9876543210"])
        #expect(output.status == 1, "\(output.text)")
        try rig.wait("the probe is not answered") {
            output = try check("--probe", "--json")
            return output.text.contains("probe key")
        }
        let report = try JSONSerialization.jsonObject(with: Data(output.text.utf8)) as? [String: Any]
        #expect((report?["checks"] as? [[String: Any]])?.contains { $0["subject"] as? String == "probe key" } == true)
        // The probe leaves nothing in the spool.
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "0")
    }

    /// `--ready` is for a container's health check.
    @Test func readinessIsAnExitCode() throws {
        func ready(_ arguments: String..., environment: [String: String] = [:]) throws -> Rig.Output {
            try rig.run(
                Rig.binaries! + "/shelly-receiver", ["--ready"] + arguments,
                environment: ["HOST": "0.0.0.0", "PORT": "\(rig.port)"].merging(environment) { $1 })
        }
        #expect(try ready("--url", "http://127.0.0.1:1").status == 1)
        #expect(try ready("--check").status == 64)
        try rig.startReceiver(["INGEST_API_KEY": ""])
        let notReady = try ready()
        #expect(notReady.status == 1 && notReady.text.contains("INGEST_API_KEY is not configured"), "\(notReady.text)")
        rig.stopReceiver()
        try rig.startReceiver()
        var output = try ready()
        #expect(output.status == 0 && output.text == "{\"status\":\"ready\"}\n", "\(output.text)")
        rig.stopReceiver()

        // The receiver's certificate is for another name, and its authority is unknown to this machine.
        let (certificate, key) = (rig.directory + "/certificate.pem", rig.directory + "/key.pem")
        try rig.expect(
            rig.run(
                "/usr/bin/openssl",
                ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
                    + ["-subj", "/CN=shelly.example.com", "-keyout", key, "-out", certificate]), status: 0)
        let files = ["TLS_CERTIFICATE_FILE": certificate, "TLS_KEY_FILE": key]
        try rig.startReceiver(files)
        output = try ready(environment: files)
        #expect(output.status == 0 && output.text.contains("ready"), "\(output.text)")
        output = try ready("--url", "https://127.0.0.1:\(rig.port)")
        #expect(output.status == 1 && output.text.lowercased().contains("certificate"), "\(output.text)")
    }

    @Test func theProbeRowReachesTheTable() throws {
        try rig.startReceiver()
        try rig.startLoader("drain", "--follow")
        let output = try probe(until: "ok    probe row ", "--probe-row")
        #expect(output.status == 0, "\(output.text)")
        #expect(try rig.query("SELECT device_id || ' ' || power FROM power_logs") == "shelly-collector-probe 0")
        rig.stopLoader()
        try rig.expect(rig.load("verify", "--database"), status: 0)
    }
}
