import FoundationEssentials
import Logging
import Postgres
import Spool
import SystemPackage

@testable import Loader

/// A spool in a temporary directory and a schema in a real PostgreSQL. Both are removed with the fixture.
final class Fixture {
    static let url = ProcessInfo.processInfo.environment["SHELLY_TEST_DATABASE_URL"] ?? ""
    static var isAvailable: Bool { !url.isEmpty }

    /// 2025-11-23T12:13:00Z, the beginning of a minute.
    static let start: Int64 = 1_763_899_980
    static let receivedAt: Int64 = 1_763_986_380_000

    let schema: String
    let path: FilePath
    let connection: Connection
    let directory: SpoolDirectory
    private let writer: SpoolWriter

    var table: TableName { get throws { try TableName("\(schema).power_logs") } }
    var database: Database { get throws { Database(conninfo: Self.url, table: try table) } }

    /// - Parameter rules: the reading rules in the headers of its segments; nil for the standard ones.
    init(migrated: Bool = true, rules: String? = nil) throws {
        let id = UUID().uuidString.lowercased()
        schema = "loader-" + id
        path = FilePath(FileManager.default.temporaryDirectory.path).appending("loader-tests-\(id)")
        directory = try SpoolDirectory(creating: path)
        writer = SpoolWriter(directory: directory, newest: 0, rules: rules)
        connection = try Self.connect()
        try sql("CREATE SCHEMA \"\(schema)\"; SET search_path TO \"\(schema)\"")
        if migrated { try migrate() }
    }

    deinit {
        _ = try? connection.execute("DROP SCHEMA \"\(schema)\" CASCADE")
        try? FileManager.default.removeItem(atPath: path.string)
    }

    /// A test that waits longer than this hangs; a busy machine needs far less.
    static let hang = Duration.seconds(600)

    /// A connection whose transactions the server does not end while a test holds them open.
    static func connect() throws -> Connection {
        try Connection(url, applicationName: "LoaderTests", connectTimeout: hang, timeout: hang)
    }

    /// Runs the body again while it cannot connect within the loader's five seconds, which a busy machine can exceed.
    /// Such an attempt has changed nothing.
    static func untilConnected<T>(_ body: () throws -> T) throws -> T {
        let deadline = ContinuousClock.now + hang
        while true {
            do {
                return try body()
            } catch let error as PostgresError where error.description.contains("timeout while") {
                guard ContinuousClock.now < deadline else { throw error }
            }
        }
    }

    /// Returns the lines that the migrator printed.
    @discardableResult
    func migrate() throws -> [String] {
        try Self.untilConnected {
            var lines: [String] = []
            try Migrator(database: try database, report: { lines.append($0) }, shutdown: ShutdownSignal()).run()
            return lines
        }
    }

    /// Appends records to the open segment.
    func append(_ bodies: String..., receivedAt: Int64 = Fixture.receivedAt) throws {
        _ = try writer.append(bodies.map { NewRecord(receivedAt: receivedAt, body: Array($0.utf8)[...]) })
    }

    /// Appends three records of one reading each to segment 1, and returns the range of the second record's bytes.
    func appendThree() throws -> Range<Int> {
        try append(Self.batch(minutes: 0..<1))
        let start = try bytes(1).count
        try append(Self.batch(minutes: 1..<2))
        let end = try bytes(1).count
        try append(Self.batch(minutes: 2..<3))
        return start..<end
    }

    func seal() { writer.seal() }

    func drain(_ change: (inout Drain) -> Void = { _ in }) throws -> DrainReport.Summary {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var drain = Drain(
            path: path, database: try database, lockTimeout: .zero, logger: logger, shutdown: ShutdownSignal())
        change(&drain)
        return try Self.untilConnected {
            let report = DrainReport(logger: logger)
            try drain.run(report)
            return report.summary
        }
    }

    @discardableResult
    func sql(_ text: String) throws -> Rows { try connection.execute(text) }

    /// The values of a query's rows, separated by spaces.
    func rows(_ query: String) throws -> [String] {
        let rows = try connection.execute(query)
        return (0..<rows.count).map { row in
            rows.columns.indices.map { rows[row, $0] ?? "null" }.joined(separator: " ")
        }
    }

    func count(_ condition: String = "true") throws -> Int {
        try connection.execute("SELECT count(*) FROM power_logs WHERE \(condition)").integer(0, 0) ?? -1
    }

    /// Progress by segment: readings, inserted, duplicates, rejected, finished.
    func progress() throws -> [String] {
        try rows(
            "SELECT segment, readings, inserted, duplicates, rejected, finished FROM spool_progress ORDER BY segment")
    }

    /// The database with an application name that marks this fixture's loader sessions.
    var markedDatabase: Database {
        get throws {
            let mark = (Self.url.contains("?") ? "&" : "?") + "application_name=" + directory.identity
            return Database(conninfo: Self.url + mark, table: try table)
        }
    }

    /// Ends the marked sessions, as a restart of the server would. Returns their number.
    func endLoaderSession() throws -> Int {
        try connection.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '\(directory.identity)'
            """
        ).count
    }

    /// The lines of `rejected/`.
    func deadLetters() throws -> [String] {
        var lines: [String] = []
        try DeadLetters(directory: directory).forEachLine { lines.append(String(decoding: $0, as: UTF8.self)) }
        return lines
    }

    func segment(_ number: Int) throws -> SpoolDirectory.Segment {
        guard let segment = try directory.segments().first(where: { $0.number == number }) else {
            throw LoaderError.argument("no segment \(number)")
        }
        return segment
    }

    func bytes(_ number: Int) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: try segment(number).path.string)))
    }

    func overwrite(_ number: Int, _ bytes: some Sequence<UInt8>) throws {
        try Data(bytes).write(to: URL(filePath: try segment(number).path.string))
    }

    /// A file with settings for commands.
    func envFile(url: String = Fixture.url) throws -> String {
        let file = path.appending("test.env").string
        let text = "SPOOL_DIR=\(path)\nDATABASE_URL=\(url)\nDATABASE_TABLE=\(schema).power_logs\nLOG_LEVEL=critical\n"
        try Data(text.utf8).write(to: URL(filePath: file))
        return file
    }

    static func batch(_ messages: String...) -> String { "{\"messages\":[\(messages.joined(separator: ","))]}" }

    static func message(_ device: String = "plug", minute: Int = 0, channel: Int = 0, power: String = "1.5") -> String {
        let time = start + Int64(minute) * 60
        return "{\"src\":\"\(device)\",\"timestamp\":\(time),\"params\":"
            + "{\"switch:\(channel)\":{\"apower\":\(power),\"voltage\":230.5,\"current\":null}}}"
    }

    /// A batch of one reading for each minute.
    static func batch(minutes: Range<Int>, device: String = "plug", power: String = "1.5") -> String {
        "{\"messages\":[\(minutes.map { message(device, minute: $0, power: power) }.joined(separator: ","))]}"
    }
}
