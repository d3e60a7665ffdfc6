import Foundation
import Testing

/// The programs' log on standard error.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct LogTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    private func lines() throws -> [[String: Any]] {
        try rig.receiverLog().split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "\($0)")
        }
    }

    @Test func aBatchIsOneLine() throws {
        try rig.startReceiver()
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).status == 200)
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<4)).status == 200)
        let lines = try rig.receiverLog().split(separator: "\n").filter { $0.contains(" batch: ") }
        #expect(lines.count == 2)
        #expect(
            lines[1].contains(
                "Z info    batch: record=00000001:2 new=1 duplicates=3 errors=0 messages=4 devices=1 seconds="))
    }

    @Test func withLogFormatJSONLinesAreJSON() throws {
        try rig.startReceiver(["LOG_FORMAT": "json"])
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).status == 200)
        #expect(try rig.post("{}", key: "guess").status == 401)
        let lines = try lines()
        let batch = try #require(lines.first { $0["message"] as? String == "batch" })
        #expect(batch["new"] as? Int == 3 && batch["seconds"] is Double && batch["level"] as? String == "info")
        #expect(batch["label"] as? String == "shelly-receiver" && (batch["time"] as? String)?.hasSuffix("Z") == true)
        #expect(lines.contains { $0["level"] as? String == "warning" })
        let refused = try rig.load("drain", "--spool", "/nowhere", environment: ["LOG_FORMAT": "json"])
        let line = try JSONSerialization.jsonObject(
            with: Data((refused.text.split(separator: "\n").first { $0.hasPrefix("{") } ?? "").utf8))
        #expect((line as? [String: Any])?["level"] as? String == "error")
    }

    /// Standard error is the socket that JOURNAL_STREAM names.
    @Test func linesForJournaldHavePriorities() throws {
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer { close(ends[0]) }
        var status = stat()
        fstat(ends[1], &status)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Rig.binaries! + "/shelly-loader")
        process.arguments = ["drain", "--spool", "/nowhere"]
        process.environment = ["JOURNAL_STREAM": "\(status.st_dev):\(status.st_ino)", "DATABASE_URL": rig.databaseURL]
        process.standardError = FileHandle(fileDescriptor: ends[1])
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        close(ends[1])
        process.waitUntilExit()
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(ends[0], &buffer, buffer.count, Int32(MSG_DONTWAIT))
        #expect(
            String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
                == "<3>/nowhere: there is no spool here (spool.json is missing)\n")
    }

    /// A client chooses the names of its devices.
    @Test func aClientCannotForgeALine() throws {
        try rig.startReceiver()
        let name = #"x\u2028forged \u202e \u0085 new=9"#
        let message = { (src: String, power: String) in
            #"{"src":"\#(src)","timestamp":\#(Rig.newestMinute * 60),"params":{"switch:0":{"apower":\#(power)}}}"#
        }
        _ = try rig.post(#"{"messages":[\#(message(name, #""no number""#))]}"#)
        _ = try rig.post(#"{"messages":[\#(message(#"a\n2026-11-25 00:00:00Z error   forged"#, "1"))]}"#)
        let log = try rig.receiverLog()
        #expect(log.contains("batch"))
        for line in log.split(separator: "\n") { #expect(line.contains("Z info    ") || line.contains("Z warning ")) }
        #expect(log.unicodeScalars.allSatisfy { ![0x2028, 0x202E, 0x85].contains($0.value) })
    }

    /// With its standard streams closed, the receiver must not write log lines into a file that gets their descriptors.
    @Test func withClosedStandardStreamsTheReceiverWorks() throws {
        let script = "exec \(Rig.binaries!)/shelly-receiver <&- >&- 2>&-"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", script]
        process.environment = [
            "INGEST_API_KEY": Rig.key, "SPOOL_DIR": rig.spool, "SPOOL_FILE_SYSTEM": "any", "PORT": "0",
        ]
        try process.run()
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        try rig.speak(to: process)
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<3)).count("inserted") == 3)
        try rig.expect(rig.load("verify"), status: 0)
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "3")
    }

    /// The reader of the log stops reading, and ingest continues.
    @Test func anUnreadLogDelaysNoBatch() throws {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: Rig.binaries! + "/shelly-receiver")
        process.environment = [
            "INGEST_API_KEY": Rig.key, "SPOOL_DIR": rig.spool, "SPOOL_FILE_SYSTEM": "any", "PORT": "0",
            "LOG_LEVEL": "trace",
        ]
        process.standardError = pipe
        // The pipe has one page (F_SETPIPE_SZ), so it is full before the first batch comes.
        #expect(fcntl(pipe.fileHandleForWriting.fileDescriptor, 1031, 4096) == 4096)
        try process.run()
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        try rig.speak(to: process)
        // The pipe is never read, so a batch that waits for it would never be answered.
        for index in 0..<60 {
            #expect(try rig.post(Rig.batch("plug-\(index)", minutes: 0..<1)).status == 200)
        }
    }
}
