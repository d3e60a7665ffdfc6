import Logging
import Postgres
import Text

/// `GET /api/stats/queue`: the last 24 hours, live from the database.
///
/// The answer takes at most two seconds and is at most two seconds old. This is an actor on its own queue, since libpq
/// blocks. Calls run one after another, so one query is in flight. Calls that waited for it find its result, or its
/// failure, still fresh.
actor QueueStatisticsSource {
    private static let freshFor = Duration.seconds(1)

    private let executor = BlockingExecutor(label: "statistics.database")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let table: TableName
    private let logger: Logger
    private var database: ReadConnection
    private var answered: (at: ContinuousClock.Instant, result: Result<QueueStatistics, PostgresError>)?

    init(url: String, table: TableName, logger: Logger) {
        database = ReadConnection(url: url)
        self.table = table
        self.logger = logger
    }

    /// The statistics as JSON; throws `Rejection.databaseUnavailable` when the database does not return them.
    func json() throws -> String {
        guard case .success(let statistics) = statistics() else { throw Rejection.databaseUnavailable }
        return JSONText(encoding: statistics).text
    }

    /// The statistics, or why the database does not return them.
    func statistics() -> Result<QueueStatistics, PostgresError> {
        if let answered, answered.at.duration(to: .now) < Self.freshFor { return answered.result }
        let result = Result { () throws(PostgresError) in
            try database.query { [table] (connection) throws(PostgresError) in
                try QueueStatistics.read(from: connection, table: table, timeout: ReadConnection.queryTimeout)
            }
        }
        if case .failure(let error) = result {
            logger.notice("statistics query failed: \(error)")
        }
        answered = (.now, result)
        return result
    }
}
