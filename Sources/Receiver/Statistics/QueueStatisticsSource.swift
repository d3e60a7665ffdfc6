import HTTPTypes
import Hummingbird
import Logging
import Postgres
import Synchronization
import Text

/// `GET /api/stats/queue`: the last 24 hours, from the database.
///
/// An answer is live if the query takes less than a second. If it takes longer, the first requests wait for it, and later
/// ones get the newest statistics in memory with their age, while a new query is in flight. There is one query at a
/// time, for any number of requests. A request gets 503 only if the database is away or silent, or if it has not
/// counted its rows in ten minutes.
final class QueueStatisticsSource: Sendable {
    /// How long a request waits for newer statistics than those in memory, and for the first step of a silent database.
    private static let timeout = Duration.seconds(1)
    private static let stepTimeout = StatisticsMemory.silence + .milliseconds(200)

    private let memory: SharedMemory
    private let query: SingleFlight<Bool>

    /// - Parameter databaseSleep: minimum interval between two queries, without a connection; zero to stay connected.
    init(url: String, table: TableName, databaseSleep: Duration, logger: Logger) {
        let memory = SharedMemory(databaseSleep: databaseSleep)
        self.memory = memory
        let reader = StatisticsReader(
            url: url, table: table, memory: memory, isKept: databaseSleep == .zero, logger: logger)
        query = SingleFlight(timeout: StatisticsReader.longest) {
            await reader.read()
            return true
        }
    }

    /// Answers a request. Throws `Rejection.databaseUnavailable` if the database is away.
    func respond() async throws(Rejection) -> Response {
        var outcome = await outcome()
        switch outcome {
        case .connecting, .counting:
            // Without statistics in memory, the answer comes when the query ends.
            _ = await query.value()
            outcome = memory.outcome()
        case .statistics, .failure: break
        }
        guard case .statistics(let statistics, let age) = outcome else { throw .databaseUnavailable }
        return .json(JSONText(encoding: statistics).text, headers: [.age: String(max(0, age.components.seconds))])
    }

    /// The statistics, or why there are none or none yet, within two seconds.
    func outcome() async -> StatisticsMemory.Outcome {
        if let fresh = memory.fresh() { return fresh }
        let isKnown = if case .statistics = memory.outcome() { true } else { false }
        _ = await query.value(within: isKnown ? Self.timeout : Self.stepTimeout)
        return memory.outcome()
    }
}

/// The memory, which requests and the query share.
private final class SharedMemory: Sendable {
    private let memory: Mutex<StatisticsMemory>

    init(databaseSleep: Duration) { memory = Mutex(StatisticsMemory(databaseSleep: databaseSleep)) }

    func fresh() -> StatisticsMemory.Outcome? { memory.withLock { $0.fresh(at: .now) } }
    func outcome() -> StatisticsMemory.Outcome { memory.withLock { $0.outcome(at: .now) } }
    func connecting() { memory.withLock { $0.connecting(at: .now) } }
    func querying() { memory.withLock { $0.querying(at: .now) } }
    func ended(_ result: Result<QueueStatistics, PostgresError>) { memory.withLock { $0.ended(result, at: .now) } }
}

/// Runs the query. An actor on its own queue, since libpq blocks.
private actor StatisticsReader {
    /// For each host.
    private static let connectTimeout = Duration.seconds(5)
    private static let queryTimeout = Duration.seconds(600)
    /// Longer than connecting to some hosts, and a query.
    static let longest = Duration.seconds(660)

    private let executor = BlockingExecutor(label: "statistics.database")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let table: TableName
    private let logger: Logger
    private let memory: SharedMemory
    private var database: ReadConnection

    init(url: String, table: TableName, memory: SharedMemory, isKept: Bool, logger: Logger) {
        database = ReadConnection(
            url: url, connectTimeout: Self.connectTimeout, queryTimeout: Self.queryTimeout, isKept: isKept,
            progress: memory.connecting)
        self.table = table
        self.memory = memory
        self.logger = logger
    }

    func read() {
        memory.connecting()
        let result = Result { () throws(PostgresError) in
            try database.query { [table, memory] (connection) throws(PostgresError) in
                memory.querying()
                return try QueueStatistics.read(from: connection, table: table, timeout: Self.queryTimeout)
            }
        }
        if case .failure(let error) = result { logger.notice("statistics query failed: \(error)") }
        memory.ended(result)
    }
}
