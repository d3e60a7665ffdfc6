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
    /// After so long something hangs. No test depends on how fast the machine is, so this is far more than a busy one needs.
    static let hangSeconds = 600
    /// Timeouts of the programs that no test may meet by being slow; a test that is about one of them sets it.
    private static let longTimeouts = [
        "INGEST_HEAD_SECONDS": "3600", "INGEST_BODY_SECONDS": "3600", "INGEST_COMMIT_SECONDS": "3600",
        "INGEST_IDLE_SECONDS": "3600", "INGEST_ANSWER_SECONDS": "3600", "INGEST_STOP_SECONDS": "3600",
        "LOADER_STATEMENT_SECONDS": "3600",
    ]

    let directory: String
    /// A test with a standby puts its hosts here.
    var databaseURL = ""
    private(set) var port = 0
    private var receiver: Process?
    private var loader: Process?

    /// Where the programs' spool is; may be changed while none of them runs.
    var spool: String
    /// How clients speak to the receiver; with `https` nobody checks its certificate.
    var scheme = "http"
    var databasePort: Int { URL(string: databaseURL)?.port ?? 0 }
    /// The directory of its cluster, if it has one.
    var cluster: String { directory + "/postgres" }
    /// The database in the tests' cluster, which goes with the rig; nil for one with a cluster or beside another's.
    private var ownDatabase: String?
    /// The server's URL, to which a database's name is to be added.
    private var serverURL: Substring { databaseURL[...(databaseURL.lastIndex(of: "/") ?? databaseURL.startIndex)] }

    /// - Parameter hasCluster: for tests that stop the server, fill it, or drop databases. All others have a database of
    ///   their own in the cluster that `make test` starts, which is there sooner.
    init(hasCluster: Bool = false) throws {
        let name = "e2e-" + UUID().uuidString.prefix(8).lowercased()
        directory = NSTemporaryDirectory() + "shelly-" + name
        spool = directory + "/spool"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if hasCluster {
            try startDatabase()
        } else {
            databaseURL = ProcessInfo.processInfo.environment["SHELLY_TEST_DATABASE_URL"] ?? ""
            // Unlike template1, nothing else connects to it, which a copy would have to wait for.
            try query("CREATE DATABASE \"\(name)\" TEMPLATE template0")
            databaseURL = serverURL + name
            ownDatabase = name
        }
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
        for process in [receiver, loader].compactMap({ $0 }) { _ = end(process, SIGKILL) }
        if let ownDatabase {
            _ = try? query("DROP DATABASE \"\(ownDatabase)\" WITH (FORCE)", database: "postgres")
        } else {
            _ = try? database("destroy")
        }
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
        process.standardInput = FileHandle.nullDevice
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try process.run(writing: .both, to: file)
        guard ended.wait(timeout: .now() + .seconds(Self.hangSeconds)) == .success else {
            kill(process.processIdentifier, SIGKILL)
            let text = try String(contentsOfFile: file, encoding: .utf8)
            throw Failure(description: "\(path) \(arguments) hangs: \(text)")
        }
        return Output(status: process.terminationStatus, text: try String(contentsOfFile: file, encoding: .utf8))
    }

    /// Runs a command of the loader.
    ///
    /// It waits for the database for seconds only, which a busy machine can exceed: then it has done nothing, and is run
    /// again, unless the test sets LOADER_STATEMENT_SECONDS, since then it is about timeouts.
    func load(_ arguments: String..., environment: [String: String] = [:]) throws -> Output {
        let all = ["DATABASE_URL": databaseURL, "SPOOL_DIR": spool, "LOG_LEVEL": "warning"]
            .merging(Self.longTimeouts) { $1 }.merging(environment) { $1 }
        var output = Output(status: 0, text: "")
        try wait("the loader still times out: \(output.text)") {
            output = try run(Self.binaries! + "/shelly-loader", arguments, environment: all)
            return environment["LOADER_STATEMENT_SECONDS"] != nil || !output.text.contains("timeout while")
        }
        return output
    }

    @discardableResult
    func expect(_ output: Output, status: Int32) throws -> String {
        guard output.status == status else { throw Failure(description: "status \(output.status): \(output.text)") }
        return output.text
    }

    @discardableResult
    private func database(_ verb: String, _ mode: String...) throws -> String {
        try postgres([verb, cluster] + mode)
    }

    /// Runs ops/dev/postgres.sh and returns its output.
    @discardableResult
    func postgres(_ arguments: [String]) throws -> String {
        let script = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/ops/dev/postgres.sh"
        return try expect(run("/bin/bash", [script] + arguments), status: 0)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func startDatabase() throws {
        databaseURL = try database("start")
    }

    func stopDatabase(_ mode: String = "fast") throws { try database("stop", mode) }

    /// Runs SQL and returns the first value that it gives, empty when it gives no rows.
    @discardableResult
    func query(_ sql: String, database: String? = nil) throws -> String {
        let rows = try connect(database).execute(sql)
        return rows.count > 0 ? rows[0, 0] ?? "NULL" : ""
    }

    /// Connects to the server, and tries again while it is full or starting.
    func connect(_ database: String? = nil) throws -> Connection {
        let deadline = ContinuousClock.now + .seconds(Self.hangSeconds)
        while true {
            do throws(PostgresError) {
                return try connectOnce(database)
            } catch {
                guard error.isTemporary, ContinuousClock.now < deadline else { throw error }
                usleep(20_000)
            }
        }
    }

    func connectOnce(_ database: String? = nil) throws(PostgresError) -> Connection {
        let limit = Duration.seconds(Self.hangSeconds)
        return try Connection(
            database.map { serverURL + $0 } ?? databaseURL, applicationName: "test", connectTimeout: limit,
            timeout: limit)
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
        process.standardInput = FileHandle.nullDevice
        process.environment = ProcessInfo.processInfo.environment.merging(Self.longTimeouts) { $1 }.merging(
            ["INGEST_API_KEY": Self.key, "SPOOL_DIR": spool, "PORT": "0", "DATABASE_URL": databaseURL]
        ) { $1 }.merging(environment) { $1 }
        try process.run(writing: .errors, to: log)
        return process
    }

    /// Starts the receiver and waits until it listens, on a port that the kernel chooses: the one that it had before may
    /// be another process's by now.
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

    /// Sends requests to a receiver that the test has started by itself, and waits until it listens. Its port is what the
    /// kernel says, as it may have no log.
    func speak(to process: Process) throws {
        try wait("the receiver does not listen") {
            guard process.isRunning else { throw Failure(description: "the receiver ended") }
            port = try Self.listeningPort(of: process.processIdentifier) ?? 0
            return port > 0
        }
    }

    /// Raises the limit of open files of this process and of those that it starts to `count`; false when it may not.
    static func canOpen(_ count: Int) -> Bool {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur >= count { return true }
        limit.rlim_cur = rlim_t(count)
        limit.rlim_max = max(limit.rlim_max, rlim_t(count))
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }

    /// How many files and sockets the receiver has open.
    func openFilesOfReceiver() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(receiver?.processIdentifier ?? 0)/fd").count
    }

    /// The most memory that the receiver has had in use at once, in bytes (proc_pid_status(5), VmHWM).
    func memoryPeakOfReceiver() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(receiver?.processIdentifier ?? 0)/status", encoding: .utf8)
        guard let line = status.range(of: "VmHWM:"),
            let kibibytes = Int(status[line.upperBound...].drop { $0.isWhitespace }.prefix { $0.isNumber })
        else { throw Failure(description: "the kernel does not say how much memory the receiver has: \(status)") }
        return kibibytes << 10
    }

    /// Lets the receiver have so many bytes of memory of its own and no more: beyond them it crashes.
    func limitMemoryOfReceiver(_ bytes: Int) throws {
        let output = try run(
            "/usr/bin/prlimit", ["--pid", "\(receiver?.processIdentifier ?? 0)", "--data=\(bytes)"])
        guard output.status == 0 else { throw Failure(description: "prlimit: \(output.text)") }
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

    /// Stops the receiver's threads until SIGCONT.
    func freezeReceiver() throws { if let receiver { try freeze(receiver) } }

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

    /// Stops the loader's threads until SIGCONT.
    func freezeLoader() throws { if let loader { try freeze(loader) } }

    /// Sends SIGSTOP and returns when each thread has stopped: until then one of them may go on.
    private func freeze(_ process: Process) throws {
        kill(process.processIdentifier, SIGSTOP)
        let threads = "/proc/\(process.processIdentifier)/task"
        try wait("process \(process.processIdentifier) does not stop") {
            guard process.isRunning else { return true }
            return try FileManager.default.contentsOfDirectory(atPath: threads).allSatisfy { thread in
                let status = try? String(contentsOfFile: "\(threads)/\(thread)/stat", encoding: .utf8)
                // The state stands behind the name, which is in parentheses.
                guard let status, let name = status.range(of: ") ", options: .backwards) else { return true }
                return status[name.upperBound...].hasPrefix("T")
            }
        }
    }

    /// What the loader has logged since it was started.
    var loaderLog: String { get throws { try String(contentsOfFile: directory + "/loader.log", encoding: .utf8) } }

    /// Whether the loader in the background has not ended by itself.
    var isLoaderRunning: Bool { loader?.isRunning == true }

    /// The status that the loader ends with by itself.
    func awaitLoader() -> Int32 { stopLoader(0) }

    private func end(_ process: Process, _ signal: Int32) -> Int32 {
        // The number of one that has ended may be another process's.
        if process.isRunning { kill(process.processIdentifier, signal) }
        let deadline = ContinuousClock.now + .seconds(Self.hangSeconds)
        while process.isRunning, .now < deadline { usleep(2000) }
        if process.isRunning {
            Issue.record("process \(process.processIdentifier) does not end on signal \(signal)")
            kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    /// Asks again and again until it is so, and throws when that hangs.
    func wait(_ complaint: @autoclosure () -> String, until isSo: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(Self.hangSeconds)
        while try !isSo() {
            guard ContinuousClock.now < deadline else { throw Failure(description: complaint()) }
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

    /// Asks until the answer is so: the receiver waits for the database, the disk and the ledger for a second or two only,
    /// which a busy machine can exceed.
    func get(_ path: String, with arguments: [String] = [], until isSo: (Answer) throws -> Bool) throws -> Answer {
        var answer: Answer?
        try wait("GET \(path) does not become as it should be: \(answer.map { "\($0.status) \($0.text)" } ?? "")") {
            let new = try request(path, arguments)
            answer = new
            return try isSo(new)
        }
        return try #require(answer)
    }

    /// Asks receivers that have just started, so that none answers from memory, until one answers within so many seconds. A
    /// busy machine delays some of the answers; a receiver that waits for longer than that gives none.
    func get(
        _ path: String, within seconds: Double, _ environment: [String: String] = [:],
        until isSo: (Answer) -> Bool = { $0.status != 503 }
    ) throws -> Answer {
        var answer: Answer?
        try wait("GET \(path) is not answered within \(seconds) s") {
            stopReceiver(SIGKILL)
            try startReceiver(environment)
            let new = try get(path)
            answer = new
            return new.seconds <= seconds && isSo(new)
        }
        return try #require(answer)
    }

    private func request(_ path: String, _ arguments: [String]) throws -> Answer {
        let headers = directory + "/headers-" + UUID().uuidString
        let output = try run(
            "/usr/bin/curl",
            [
                "-sS", "-k", "-m", "\(Self.hangSeconds)", "-D", headers, "-w", "\n%{http_code} %{time_total}",
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
