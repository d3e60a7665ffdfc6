import Foundation
import Postgres

/// The real programs beside a real PostgreSQL of their own: processes, sockets, files.
///
/// Unchecked, because clients post from several tasks: they only read, while one task at a time starts and stops things.
final class Rig: @unchecked Sendable {
    static let binaries = ProcessInfo.processInfo.environment["SHELLY_TEST_BIN"]
    static let isComplete = binaries != nil
    static let key = "test-key"

    let directory: String
    private(set) var databaseURL = ""
    private(set) var port = 0
    private var receiver: Process?

    var spool: String { directory + "/spool" }
    private var cluster: String { directory + "/postgres" }

    init() throws {
        directory = NSTemporaryDirectory() + "shelly-e2e-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try startDatabase()
        try expect(load("migrate"), status: 0)
    }

    deinit {
        receiver?.terminate()
        receiver?.waitUntilExit()
        _ = try? database("destroy")
        try? FileManager.default.removeItem(atPath: directory)
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    struct Output {
        let status: Int32
        let text: String
    }

    /// Runs a program to its end.
    func run(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let file = directory + "/out-" + UUID().uuidString
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return Output(status: process.terminationStatus, text: try String(contentsOfFile: file, encoding: .utf8))
    }

    func load(_ arguments: String...) throws -> Output {
        try run(
            Self.binaries! + "/shelly-loader", arguments,
            environment: ["DATABASE_URL": databaseURL, "SPOOL_DIR": spool, "LOG_LEVEL": "warning"])
    }

    @discardableResult
    func expect(_ output: Output, status: Int32) throws -> String {
        guard output.status == status else { throw Failure(description: "status \(output.status): \(output.text)") }
        return output.text
    }

    @discardableResult
    private func database(_ verb: String, _ mode: String...) throws -> String {
        let script = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/ops/dev/postgres.sh"
        return try expect(run("/bin/bash", [script, verb, cluster] + mode), status: 0)
    }

    func startDatabase() throws {
        databaseURL = try database("start").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func stopDatabase(_ mode: String = "fast") throws { try database("stop", mode) }

    func query(_ sql: String) throws -> String {
        let connection = try Connection(databaseURL, applicationName: "test")
        return try connection.execute(sql)[0, 0] ?? "NULL"
    }

    func startReceiver() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.binaries! + "/shelly-receiver")
        let log = directory + "/receiver.log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardOutput = FileHandle.nullDevice
        process.environment = ProcessInfo.processInfo.environment.merging([
            "INGEST_API_KEY": Self.key, "SPOOL_DIR": spool, "PORT": "\(port)", "DATABASE_URL": databaseURL,
        ]) { $1 }
        try process.run()
        receiver = process
        for _ in 0..<600 {
            let text = try String(contentsOfFile: log, encoding: .utf8)
            if let found = text.range(of: "listening on 127.0.0.1:") {
                port = Int(text[found.upperBound...].prefix { $0.isNumber }) ?? 0
                return
            }
            guard process.isRunning else { throw Failure(description: "the receiver ended: \(text)") }
            usleep(20_000)
        }
        throw Failure(description: "the receiver does not listen")
    }

    /// Ends the receiver by a signal and returns its status.
    @discardableResult
    func stopReceiver(_ signal: Int32 = SIGTERM) -> Int32 {
        guard let process = receiver else { return 0 }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        receiver = nil
        return process.terminationStatus
    }

    struct Answer {
        let status: Int
        let text: String
        var json: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
        }
        func count(_ name: String) -> Int? { (json[name] as? NSNumber)?.intValue }
    }

    func post(_ body: String, key: String? = Rig.key, headers: [String] = []) throws -> Answer {
        let file = directory + "/body-" + UUID().uuidString
        try body.write(toFile: file, atomically: false, encoding: .utf8)
        var arguments = ["--data-binary", "@" + file]
        if let key { arguments += ["-H", "X-API-Key: " + key] }
        for header in headers { arguments += ["-H", header] }
        return try request("/api/ingest/batch", arguments)
    }

    func get(_ path: String) throws -> Answer { try request(path, []) }

    private func request(_ path: String, _ arguments: [String]) throws -> Answer {
        let output = try run(
            "/usr/bin/curl", ["-sS", "-m", "20", "-w", "\n%{http_code}", "http://127.0.0.1:\(port)\(path)"] + arguments)
        var lines = output.text.split(separator: "\n", omittingEmptySubsequences: false)
        let status = Int(lines.removeLast()) ?? 0
        return Answer(status: output.status == 0 ? status : 0, text: lines.joined(separator: "\n"))
    }

    /// A batch of one-channel messages, a minute each.
    static func batch(_ src: String, minutes: Range<Int>, power: Double = 8.9) -> String {
        let base = Int(Date().timeIntervalSince1970) / 60 * 60
        let messages = minutes.map {
            "{\"src\":\"\(src)\",\"timestamp\":\(base - 60 * $0),\"params\":{\"switch:0\":{\"apower\":\(power)}}}"
        }
        return "{\"messages\":[\(messages.joined(separator: ","))]}"
    }
}
