import Foundation
import Postgres
import Testing

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
    private var loader: Process?

    /// Where the programs' spool is; may be changed while none of them runs.
    var spool: String
    /// How clients speak to the receiver; with `https` nobody checks its certificate.
    var scheme = "http"
    var databasePort: Int { URL(string: databaseURL)?.port ?? 0 }
    private var cluster: String { directory + "/postgres" }

    init() throws {
        directory = NSTemporaryDirectory() + "shelly-e2e-" + UUID().uuidString.prefix(8)
        spool = directory + "/spool"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try startDatabase()
        try expect(load("migrate"), status: 0)
    }

    /// Another machine beside the same database, with a spool, a receiver and a loader of its own.
    init(besideDatabaseOf other: Rig) throws {
        directory = other.directory + "/machine-" + UUID().uuidString.prefix(8)
        spool = directory + "/spool"
        databaseURL = other.databaseURL
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit {
        for process in [receiver, loader].compactMap({ $0 }) {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
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

    func load(_ arguments: String..., environment: [String: String] = [:]) throws -> Output {
        try run(
            Self.binaries! + "/shelly-loader", arguments,
            environment: ["DATABASE_URL": databaseURL, "SPOOL_DIR": spool, "LOG_LEVEL": "warning"].merging(
                environment
            ) { $1 })
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

    /// Runs SQL and returns the first value that it gives, empty when it gives no rows.
    @discardableResult
    func query(_ sql: String, database: String = "shelly") throws -> String {
        let server = databaseURL.dropLast("shelly".count)
        let connection = try Connection(server + database, applicationName: "test")
        let rows = try connection.execute(sql)
        return rows.count > 0 ? rows[0, 0] ?? "NULL" : ""
    }

    /// Starts a program in the background, its standard error in a file of that name.
    ///
    /// - Parameter wrapper: a command that becomes the program in the end, such as `strace -D`.
    private func start(
        _ program: String, _ arguments: [String], environment: [String: String], under wrapper: [String], log: String
    ) throws -> Process {
        let process = Process()
        let command = wrapper + [Self.binaries! + "/" + program] + arguments
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardOutput = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["INGEST_API_KEY": Self.key, "SPOOL_DIR": spool, "PORT": "\(port)", "DATABASE_URL": databaseURL]
        ) { $1 }.merging(environment) { $1 }
        try process.run()
        return process
    }

    /// Starts the receiver and waits until it listens, on the port that it had before.
    func startReceiver(
        _ environment: [String: String] = [:], arguments: [String] = [], under wrapper: [String] = []
    ) throws {
        let log = directory + "/receiver.log"
        let process = try start("shelly-receiver", arguments, environment: environment, under: wrapper, log: log)
        receiver = process
        try wait("the receiver does not listen") {
            let text = try String(contentsOfFile: log, encoding: .utf8)
            guard process.isRunning else { throw Failure(description: "the receiver ended: \(text)") }
            guard let found = text.range(of: "listening on ") else { return false }
            let address = text[found.upperBound...].prefix { !$0.isWhitespace && $0 != "\"" }
            port = address.lastIndex(of: ":").flatMap { Int(address[address.index(after: $0)...]) } ?? 0
            return port > 0
        }
    }

    /// How many files and sockets the receiver has open.
    func openFilesOfReceiver() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(receiver?.processIdentifier ?? 0)/fd").count
    }

    /// What the receiver has logged since its start.
    func receiverLog() throws -> String { try String(contentsOfFile: directory + "/receiver.log", encoding: .utf8) }

    /// Ends the receiver by a signal and returns its status, negative when it was killed.
    @discardableResult
    func stopReceiver(_ signal: Int32 = SIGTERM) -> Int32 {
        defer { receiver = nil }
        return receiver.map { end($0, signal) } ?? 0
    }

    /// The receiver's process, 0 when there is none.
    var receiverProcess: Int32 { receiver?.processIdentifier ?? 0 }

    /// Sends the receiver a signal and does not wait for what it does.
    func signalReceiver(_ signal: Int32) {
        if let receiver { kill(receiver.processIdentifier, signal) }
    }

    func startLoader(
        _ arguments: String..., environment: [String: String] = [:], under wrapper: [String] = []
    ) throws {
        loader = try start(
            "shelly-loader", arguments, environment: environment, under: wrapper, log: directory + "/loader.log")
    }

    @discardableResult
    func stopLoader(_ signal: Int32 = SIGTERM) -> Int32 {
        defer { loader = nil }
        return loader.map { end($0, signal) } ?? 0
    }

    func signalLoader(_ signal: Int32) {
        if let loader { kill(loader.processIdentifier, signal) }
    }

    /// What the loader has logged since it was started.
    var loaderLog: String { get throws { try String(contentsOfFile: directory + "/loader.log", encoding: .utf8) } }

    /// The status that the loader ends with by itself.
    func awaitLoader() -> Int32 { stopLoader(0) }

    private func end(_ process: Process, _ signal: Int32) -> Int32 {
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    /// Asks again and again until it is so, for two minutes at most.
    func wait(_ complaint: String, until isSo: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while try !isSo() {
            guard ContinuousClock.now < deadline else { throw Failure(description: complaint) }
            usleep(20_000)
        }
    }

    /// Runs the body so many times at once, each on a thread of its own, as the cooperative pool has only a few and the
    /// bodies block.
    func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
        let group = DispatchGroup()
        for index in 0..<count {
            group.enter()
            Thread.detachNewThread {
                #expect(throws: Never.self) { try body(index) }
                group.leave()
            }
        }
        group.wait()
    }

    struct Answer {
        let status: Int
        /// In lower case, a line each.
        let headers: String
        let text: String
        let seconds: Double
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

    /// - Parameter arguments: more of them for curl.
    func get(_ path: String, _ arguments: String...) throws -> Answer { try request(path, arguments) }

    private func request(_ path: String, _ arguments: [String]) throws -> Answer {
        let headers = directory + "/headers-" + UUID().uuidString
        let output = try run(
            "/usr/bin/curl",
            [
                "-sS", "-k", "-m", "20", "-D", headers, "-w", "\n%{http_code} %{time_total}",
                "\(scheme)://127.0.0.1:\(port)\(path)",
            ] + arguments)
        var lines = output.text.split(separator: "\n", omittingEmptySubsequences: false)
        let figures = lines.removeLast().split(separator: " ")
        guard output.status == 0, figures.count == 2, let status = Int(figures[0]), let seconds = Double(figures[1])
        else { throw Failure(description: "curl ended with \(output.status): \(output.text)") }
        return Answer(
            status: status, headers: try String(contentsOfFile: headers, encoding: .utf8).lowercased(),
            text: lines.joined(separator: "\n"), seconds: seconds)
    }

    /// Read once, so that a batch made again a minute later is the same.
    static let newestMinute = Int(Date().timeIntervalSince1970) / 60

    /// A batch of one-channel messages, a minute each.
    static func batch(_ src: String, minutes: Range<Int>, power: Double = 8.9, reversed: Bool = false) -> String {
        let messages = minutes.map {
            "{\"src\":\"\(src)\",\"timestamp\":\((newestMinute - $0) * 60),\"params\":{\"switch:0\":{\"apower\":\(power)}}}"
        }
        let ordered = reversed ? messages.reversed() : messages
        return "{\"messages\":[\(ordered.joined(separator: ","))]}"
    }
}
