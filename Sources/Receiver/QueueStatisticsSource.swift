import FoundationEssentials
import Logging
import Postgres

/// `GET /api/stats/queue`: the last 24 hours from the database, live, at most two seconds old and within two seconds.
///
/// An actor on a queue of its own, since libpq blocks. Calls run one after another, so one query is in flight; those
/// that waited find its result, or its failure, still fresh.
actor QueueStatisticsSource {
    private static let freshFor = Duration.seconds(1)

    private let executor = BlockingExecutor(label: "statistics.database")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let table: TableName
    private let logger: Logger
    private var database: ReadConnection
    private var answered: (at: ContinuousClock.Instant, json: String?)?

    init(url: String, table: TableName, logger: Logger) {
        database = ReadConnection(url: url)
        self.table = table
        self.logger = logger
    }

    /// The statistics as JSON; `Rejection.databaseUnavailable` when the database does not give them.
    func json() throws -> String {
        if let answered, answered.at.duration(to: .now) < Self.freshFor { return try Self.found(answered.json) }
        let json: String?
        do {
            json = try query()
        } catch {
            logger.notice("statistics of the database are not to be had: \(error)")
            json = nil
        }
        answered = (.now, json)
        return try Self.found(json)
    }

    private static func found(_ json: String?) throws -> String {
        guard let json else { throw Rejection.databaseUnavailable }
        return json
    }

    private func query() throws -> String {
        let statistics = try database.ask { [table] (connection) throws(PostgresError) in
            try QueueStatistics.read(from: connection, table: table, timeout: ReadConnection.queryTimeout)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(statistics), as: UTF8.self)
    }
}
