import Foundation
import Postgres
import Testing

/// The real programs with a real PostgreSQL of their own: processes, sockets, files.
///
/// Unchecked, because clients post from several tasks. They only read the rig; one task at a time starts and stops
/// programs.
final class Rig: @unchecked Sendable {
    static let binaries = ProcessInfo.processInfo.environment["SHELLY_TEST_BIN"]
    static let isComplete = binaries != nil
    static let key = "test-key"
    /// A test that waits longer than this has failed. No test depends on the machine's speed, so this is far longer
    /// than a busy machine needs.
    static let hangSeconds = 600
    /// Timeouts so long that a slow machine cannot reach them. A test of one of them sets it.
    private static let longTimeouts = [
        "INGEST_HEAD_SECONDS": "3600", "INGEST_BODY_SECONDS": "3600", "INGEST_COMMIT_SECONDS": "3600",
        "INGEST_IDLE_SECONDS": "3600", "INGEST_ANSWER_SECONDS": "3600", "INGEST_STOP_SECONDS": "3600",
        "LOADER_STATEMENT_SECONDS": "3600",
    ]

    let directory: String
    /// The database's URL. A test with a standby adds the second host.
    var databaseURL = ""
    private(set) var port = 0
    private var receiver: Process?
    private var loader: Process?

    /// The path of the programs' spool. It may change while none of them runs.
    var spool: String
    /// The URL scheme of requests to the receiver. With `https` clients do not verify its certificate.
    var scheme = "http"
    var databasePort: Int { URL(string: databaseURL)?.port ?? 0 }
    /// The folder of the rig's cluster, if it has one.
    var cluster: String { directory + "/postgres" }
    /// This rig's database in the tests' cluster, dropped with the rig; nil for a rig with a cluster or one beside
    /// another rig.
    private var ownDatabase: String?
    /// The server's URL up to the name of the database.
    private var serverURL: Substring { databaseURL[...(databaseURL.lastIndex(of: "/") ?? databaseURL.startIndex)] }

    /// - Parameter hasCluster: true for tests that stop the server, fill it, or drop databases. All others use a
    /// database in the cluster that `make test` starts, which is ready sooner.
    init(hasCluster: Bool = false) throws {
        let name = "e2e-" + UUID().uuidString.prefix(8).lowercased()
        directory = NSTemporaryDirectory() + "shelly-" + name
        spool = directory + "/spool"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if hasCluster {
            try startDatabase()
        } else {
            databaseURL = ProcessInfo.processInfo.environment["SHELLY_TEST_DATABASE_URL"] ?? ""
            // No other session connects to template0, unlike template1, so the copy does not have to wait for one.
            try query("CREATE DATABASE \"\(name)\" TEMPLATE template0")
            databaseURL = serverURL + name
            ownDatabase = name
        }
        try expect(load("migrate"), status: 0)
    }

    /// Another machine with the same database, and with a spool, a receiver and a loader of its own.
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

    /// Runs a program until it ends.
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
    /// It waits only seconds for the database, which a busy machine can exceed. In that case it has done nothing and is
    /// run again, unless the test sets LOADER_STATEMENT_SECONDS, because then the test is about timeouts.
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

    /// Runs SQL and returns the first value of its result; empty if there are no rows.
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

    /// Starts a program in the background, with its standard error in the file `log`.
    ///
    /// - Parameter wrapper: a command that execs the program in the end, such as `strace -D`.
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

    /// Starts the receiver and waits until it listens, on a port that the kernel chooses. Another process may have
    /// taken its previous port.
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

    /// Sends the rig's requests to a receiver that the test has started itself, once it listens. The kernel reports its
    /// port, because that receiver may have no log.
    func speak(to process: Process) throws {
        try wait("the receiver does not listen") {
            guard process.isRunning else { throw Failure(description: "the receiver ended") }
            port = try Self.listeningPort(of: process.processIdentifier) ?? 0
            return port > 0
        }
    }

    /// Raises the limit of open files of this process and its children to `count`. Returns false if that is not
    /// permitted.
    static func canOpen(_ count: Int) -> Bool {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur >= count { return true }
        limit.rlim_cur = rlim_t(count)
        limit.rlim_max = max(limit.rlim_max, rlim_t(count))
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }

    /// The number of files and sockets that the receiver has open.
    func openFilesOfReceiver() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(receiver?.processIdentifier ?? 0)/fd").count
    }

    /// The receiver's peak memory in bytes (proc_pid_status(5), VmHWM).
    func memoryPeakOfReceiver() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(receiver?.processIdentifier ?? 0)/status", encoding: .utf8)
        guard let line = status.range(of: "VmHWM:"),
            let kibibytes = Int(status[line.upperBound...].drop { $0.isWhitespace }.prefix { $0.isNumber })
        else { throw Failure(description: "the kernel does not say how much memory the receiver has: \(status)") }
        return kibibytes << 10
    }

    /// Limits the receiver's data memory to this many bytes. Beyond them it crashes.
    func limitMemoryOfReceiver(_ bytes: Int) throws {
        let output = try run(
            "/usr/bin/prlimit", ["--pid", "\(receiver?.processIdentifier ?? 0)", "--data=\(bytes)"])
        guard output.status == 0 else { throw Failure(description: "prlimit: \(output.text)") }
    }

    /// The receiver's log since its start.
    func receiverLog() throws -> String { try String(contentsOfFile: directory + "/receiver.log", encoding: .utf8) }

    /// Ends the receiver by a signal and returns its exit status, negative if a signal killed it.
    @discardableResult
    func stopReceiver(_ signal: Int32 = SIGTERM) -> Int32 {
        defer { receiver = nil }
        return receiver.map { end($0, signal) } ?? 0
    }

    /// The receiver's process id; 0 if it does not run.
    var receiverProcess: Int32 { receiver?.processIdentifier ?? 0 }

    /// Sends the receiver a signal and does not wait for its effect.
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

    /// Sends SIGSTOP and returns when every thread has stopped. Until then some threads may still run.
    private func freeze(_ process: Process) throws {
        kill(process.processIdentifier, SIGSTOP)
        let threads = "/proc/\(process.processIdentifier)/task"
        try wait("process \(process.processIdentifier) does not stop") {
            guard process.isRunning else { return true }
            return try FileManager.default.contentsOfDirectory(atPath: threads).allSatisfy { thread in
                let status = try? String(contentsOfFile: "\(threads)/\(thread)/stat", encoding: .utf8)
                // The state follows the name, which is in parentheses.
                guard let status, let name = status.range(of: ") ", options: .backwards) else { return true }
                return status[name.upperBound...].hasPrefix("T")
            }
        }
    }

    /// The loader's log since its start.
    var loaderLog: String { get throws { try String(contentsOfFile: directory + "/loader.log", encoding: .utf8) } }

    /// Whether the loader in the background still runs.
    var isLoaderRunning: Bool { loader?.isRunning == true }

    /// Waits until the loader ends by itself, and returns its exit status.
    func awaitLoader() -> Int32 { stopLoader(0) }

    private func end(_ process: Process, _ signal: Int32) -> Int32 {
        // The process id of a process that has ended may belong to another one.
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

    /// Evaluates the condition until it holds; throws a failure with `complaint` after `hangSeconds`.
    func wait(_ complaint: @autoclosure () -> String, until isSo: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(Self.hangSeconds)
        while try !isSo() {
            guard ContinuousClock.now < deadline else { throw Failure(description: complaint()) }
            usleep(20_000)
        }
    }

    /// Runs the body `count` times at once, each on a thread of its own, because the bodies block and the cooperative
    /// pool has only a few threads.
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
        /// In lower case, one per line.
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

    /// - Parameter arguments: further arguments of curl.
    func get(_ path: String, _ arguments: String...) throws -> Answer { try request(path, arguments) }

    /// Repeats the request until the answer matches. The receiver waits only a second or two for the database, the disk
    /// and the ledger, which a busy machine can exceed.
    func get(_ path: String, with arguments: [String] = [], until isSo: (Answer) throws -> Bool) throws -> Answer {
        var answer: Answer?
        try wait(
            "GET \(path) never gets the expected answer, but \(answer.map { "\($0.status) \($0.text)" } ?? "none")"
        ) {
            let new = try request(path, arguments)
            answer = new
            return try isSo(new)
        }
        return try #require(answer)
    }

    /// Starts a receiver for each request, so that none answers from memory, until one answers within so many seconds.
    /// A busy machine delays some of the answers; a receiver that always waits longer fails the test.
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

    /// Read once, so that a batch that is built again a minute later is the same.
    static let newestMinute = Int(Date().timeIntervalSince1970) / 60

    /// A batch of messages with one channel each, one for each minute.
    static func batch(_ src: String, minutes: Range<Int>, power: Double = 8.9, reversed: Bool = false) -> String {
        let messages = minutes.map {
            "{\"src\":\"\(src)\",\"timestamp\":\((newestMinute - $0) * 60),\"params\":{\"switch:0\":{\"apower\":\(power)}}}"
        }
        let ordered = reversed ? messages.reversed() : messages
        return "{\"messages\":[\(ordered.joined(separator: ","))]}"
    }
}
