import Foundation
import Synchronization
import Testing

/// Keys from files and credentials, changed while batches arrive, and the right to read.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct KeyTests {
    let rig: Rig
    private var keyFile: String { rig.directory + "/keys" }

    init() throws { rig = try Rig() }

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Sends SIGHUP and waits until the log has one more of this line.
    private func reload(until line: String) throws {
        let before = try rig.receiverLog().components(separatedBy: line).count
        rig.signalReceiver(SIGHUP)
        try rig.wait("the receiver does not log: \(line)") {
            try rig.receiverLog().components(separatedBy: line).count > before
        }
    }

    private func status(_ key: String) throws -> Int { try rig.post("{}", key: key).status }

    /// The steps of docs/SECURITY.md under load: clients use the old key, then some of them either key, then all the
    /// new one.
    @Test func aKeyIsRotatedUnderLoadWithoutARefusal() throws {
        try write("# the first one\r\nold-key\r\n", to: keyFile)
        try rig.startReceiver(["INGEST_API_KEY": "", "INGEST_API_KEY_FILE": keyFile])
        let rotation = Rotation(keys: ["old-key"])
        let loaders = 4
        let acked = Mutex(0)
        let wrong = Mutex<[String]>([])
        let done = DispatchSemaphore(value: 0)
        for loader in 0..<loaders {
            Thread.detachNewThread { [rig] in
                do {
                    let client = try RawClient(port: rig.port)
                    var round = 0
                    while let key = rotation.key(of: loader, round) {
                        let answer = try client.post(Rig.batch("plug-\(loader)-\(round)", minutes: 0..<3), key: key)
                        if answer.status == 200 {
                            acked.withLock { $0 += answer.count("inserted") ?? 0 }
                        } else {
                            wrong.withLock { $0.append("\(key): \(answer.status)") }
                        }
                        round += 1
                    }
                } catch {
                    wrong.withLock { $0.append("\(error)") }
                }
                done.signal()
            }
        }
        func letSomeBatchesThrough() throws {
            let before = acked.withLock { $0 }
            try rig.wait("no batch is acknowledged") {
                acked.withLock { $0 } > before + 100 || !wrong.withLock(\.isEmpty)
            }
        }
        try letSomeBatchesThrough()
        try write("old-key\nnew-key\n", to: keyFile)
        try reload(until: "2 ingest keys active")
        rotation.use(["old-key", "new-key"])
        try letSomeBatchesThrough()
        rotation.use(["new-key"])
        try letSomeBatchesThrough()
        // Every batch with the old key has been answered by now, because each client has sent one with the new key
        // since.
        try rig.wait("a client does not use the new key") { rotation.switchedOver >= loaders }
        try write("new-key\n", to: keyFile)
        try reload(until: "1 ingest key active")
        #expect(try status("old-key") == 401)
        try letSomeBatchesThrough()
        rotation.use([])
        for _ in 0..<loaders { done.wait() }

        #expect(wrong.withLock { $0 } == [])
        #expect(rig.stopReceiver() == 0)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "\(acked.withLock { $0 })")
        let log = try rig.receiverLog()
        #expect(!log.contains("old-key") && !log.contains("new-key"))
    }

    /// The keys that clients use at present.
    private final class Rotation: Sendable {
        private struct State {
            var keys: [String]
            var clientsOfTheOnlyKey: Set<Int> = []
        }
        private let state: Mutex<State>

        init(keys: [String]) { state = Mutex(State(keys: keys)) }

        func use(_ keys: [String]) { state.withLock { $0 = State(keys: keys) } }

        /// A client's key for its next batch. Its previous batch has been answered.
        func key(of client: Int, _ round: Int) -> String? {
            state.withLock { state in
                guard !state.keys.isEmpty else { return nil }
                if state.keys.count == 1 { state.clientsOfTheOnlyKey.insert(client) }
                return state.keys[(client + round) % state.keys.count]
            }
        }

        var switchedOver: Int { state.withLock { $0.clientsOfTheOnlyKey.count } }
    }

    @Test func anUnreadableFileAtReloadChangesNothing() throws {
        try write("key-one\n", to: keyFile)
        try rig.startReceiver(["INGEST_API_KEY": "", "INGEST_API_KEY_FILE": keyFile])
        for (text, reason) in [
            ("", "contains no key"), ("# none\n\n", "contains no key"), ("a,b\n", "line 1 has a comma"),
            ("x\u{1}y\n", "line 1 has a control character"), (String(repeating: "k", count: 300_000), "longer than"),
        ] {
            try write(text, to: keyFile)
            try reload(until: reason)
            #expect(try status("key-one") == 422)
        }
        try FileManager.default.removeItem(atPath: keyFile)
        try reload(until: "No such file or directory")
        #expect(mkfifo(keyFile, 0o600) == 0)
        try reload(until: "the ingest keys are unchanged (1): INGEST_API_KEY_FILE \(keyFile)")
        #expect(try status("key-one") == 422 && status("a") == 401)
        try FileManager.default.removeItem(atPath: keyFile)
        try write("key-two", to: keyFile)
        try reload(until: "1 ingest key active")
        #expect(try status("key-two") == 422 && status("key-one") == 401)
    }

    @Test func anUnreadableFileAtStartIsAnErrorWithItsFix() throws {
        func start(_ environment: [String: String]) throws -> String {
            let output = try rig.run(
                Rig.binaries! + "/shelly-receiver", ["--port", "0", "--spool", rig.spool], environment: environment)
            #expect(output.status == 1)
            return output.text
        }
        let missing = try start(["INGEST_API_KEY_FILE": keyFile])
        #expect(missing.contains("INGEST_API_KEY_FILE \(keyFile): No such file or directory"))
        try write("\n", to: keyFile)
        #expect(try start(["READ_API_KEY_FILE": keyFile]).contains("write one key per line"))
        #expect(try start(["INGEST_API_KEY_FILE": rig.directory]).contains("Is a directory"))
        #expect(try start(["READ_API_KEYFILE": keyFile]).contains("did you mean READ_API_KEY_FILE?"))
    }

    /// Spaces and tabs around a field's value are not part of it (RFC 9110, 5.5).
    @Test func spacesAroundAKeyAreNotPartOfIt() throws {
        try rig.startReceiver()
        for key in [Rig.key + " ", Rig.key + "\t ", "\t" + Rig.key] { #expect(try status(key) == 422) }
        #expect(try status(Rig.key + " x") == 401)
    }

    /// Every byte of the environment that is not UTF-8 would become U+FFFD, so that different keys would become the
    /// same one.
    @Test func aKeyThatIsNotTextIsAnError() throws {
        let start = #"INGEST_API_KEY=$'good,\xff\xfe' exec "$0" --port 0 --spool "$1""#
        let output = try rig.run("/bin/bash", ["-c", start, Rig.binaries! + "/shelly-receiver", rig.spool])
        #expect(output.status == 1 && output.text.contains("INGEST_API_KEY: a key is not text in UTF-8"), "\(output)")
    }

    @Test func keysFromEverySourceAreAccepted() throws {
        try write("from-file\n", to: keyFile)
        let credentials = rig.directory + "/credentials"
        try FileManager.default.createDirectory(atPath: credentials, withIntermediateDirectories: false)
        try write("from-credential\n", to: credentials + "/ingest_api_key")
        try write("from-read-credential", to: credentials + "/read_api_key")
        let settings = rig.directory + "/settings"
        try write("INGEST_API_KEY=from-settings\n", to: settings)
        try rig.startReceiver(
            [
                "INGEST_API_KEY": "", "INGEST_API_KEY_FILE": keyFile, "CREDENTIALS_DIRECTORY": credentials,
                "STATS_ACCESS": "key",
            ], arguments: ["--env-file", settings])
        for key in ["from-file", "from-credential", "from-settings"] { #expect(try status(key) == 422) }
        #expect(try status("from-read-credential") == 401)
        #expect(try rig.get("/api/stats/spool", "-H", "X-API-Key: from-read-credential").status == 200)

        // The settings file is read again as well. If it has an error, nothing changes.
        try write("INGEST_API_KEY=from-settings,and-another\n", to: settings)
        try reload(until: "4 ingest keys active")
        #expect(try status("and-another") == 422)
        try write("INGEST_APIKEY=x\n", to: settings)
        try reload(until: "are unchanged: \(settings) line 1: unknown setting")
        #expect(try status("and-another") == 422)
    }

    @Test func withoutAReadKeyLockedStatisticsAreServedOnlyToLoopback() throws {
        try rig.startReceiver(["STATS_ACCESS": "key"])
        for path in ["/api/stats/queue", "/api/stats/spool"] {
            try expectMayRead(path)
            try expectMayRead(path, "-I")
            try expectMayRead(path, "-H", "Host: localhost:\(rig.port)")
            for arguments in [
                ["-H", "X-Forwarded-For: 127.0.0.1"], ["-H", "Host: evil.example"], ["-0"],
                ["-H", "Via: 1.1 proxy"], ["-H", "X-API-Key: \(Rig.key)", "-H", "X-Real-IP: 127.0.0.1"],
            ] {
                let answer = try rig.run(
                    "/usr/bin/curl",
                    ["-sS", "-w", " %{http_code}", "http://127.0.0.1:\(rig.port)\(path)"] + arguments)
                #expect(
                    answer.text.hasSuffix(" 403") && answer.text.contains("READ_API_KEY"),
                    "\(arguments): \(answer.text)")
            }
        }
        #expect(try rig.get("/healthz", "-H", "Host: evil.example", "-H", "Via: x").status == 200)

        rig.stopReceiver()
        try rig.startReceiver(["STATS_ACCESS": "key", "HOST": "0.0.0.0"])
        let answer = try rig.get("/api/stats/spool")
        #expect(answer.status == 403 && answer.text.contains("set READ_API_KEY"))
    }

    private func expectMayRead(_ path: String, _ arguments: String...) throws {
        // 503 means that the database did not answer in time.
        let answer = try rig.get(path, with: arguments) { $0.status != 503 }
        #expect(answer.status == 200, "\(path) \(arguments): \(answer.text)")
    }

    @Test func everyClientWithAReadKeyMayRead() throws {
        let path = "/api/stats/queue"
        try rig.startReceiver()
        // The documented default: open from every address.
        try expectMayRead(path, "-H", "Via: 1.1 proxy", "-H", "Host: shelly.example")
        rig.stopReceiver()

        try rig.startReceiver(["READ_API_KEY": "read-one,read-two", "STATS_ACCESS": "key"])
        let refused = try rig.get(path)
        #expect(refused.status == 401 && refused.text == #"{"detail":"Unauthorized"}"#)
        #expect(refused.headers.contains(#"www-authenticate: basic realm="shelly-collector", charset="utf-8""#))
        #expect(try rig.get(path, "-H", "X-API-Key: \(Rig.key)").status == 401)
        try expectMayRead(path, "-u", "anybody:read-one")
        try expectMayRead(path, "-H", "Authorization: Bearer read-two", "-H", "Via: 1.1 proxy")
        try expectMayRead(path, "-H", "X-API-Key: read-one", "-H", "Host: shelly.example")
        #expect(try status("read-one") == 401)
        let log = try rig.receiverLog()
        #expect(log.contains("a read from 127.0.0.1 was refused") && !log.contains("read-one"))
    }

    @Test func aKeyFileThatEveryUserCanReadCausesAWarning() throws {
        let warning = "INGEST_API_KEY_FILE \(keyFile) can be read by every user of this machine"
        try write("key\n", to: keyFile)
        for (mode, isWarnedOf) in [(mode_t(0o640), false), (0o644, true)] {
            #expect(chmod(keyFile, mode) == 0)
            try rig.startReceiver(["INGEST_API_KEY_FILE": keyFile])
            #expect(try rig.receiverLog().contains(warning) == isWarnedOf)
            rig.stopReceiver()
        }
    }

    @Test func aKeyForIngestAndReadCausesAWarning() throws {
        try rig.startReceiver(["READ_API_KEY": Rig.key])
        #expect(try rig.receiverLog().contains("an ingest key is a read key as well"))
    }
}
