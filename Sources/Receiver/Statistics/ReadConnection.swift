import Postgres

/// A database connection for interactive queries.
///
/// The connection is kept between queries and reopened when it was lost. A query gives up in less than two seconds.
struct ReadConnection {
    static let queryTimeout = Duration.milliseconds(1100)
    private static let connectTimeout = Duration.milliseconds(700)

    private let url: String
    private var connection: Connection?

    init(url: String) { self.url = url }

    /// Runs `body`, at most twice. A query in `body` must not have a longer timeout than `queryTimeout`.
    mutating func query<Value>(
        _ body: (Connection) throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value {
        let started = ContinuousClock.now
        do throws(PostgresError) {
            return try body(open())
        } catch {
            // On a kept connection, a query fails at once if the server was restarted. Then there is time to retry.
            let isLost = connection.map { !$0.isUsable } ?? false
            connection = nil
            guard isLost, started.duration(to: .now) < Self.connectTimeout / 4 else { throw error }
        }
        do throws(PostgresError) {
            return try body(open())
        } catch {
            connection = nil
            throw error
        }
    }

    private mutating func open() throws(PostgresError) -> Connection {
        if let connection { return connection }
        let new = try Connection(
            url, applicationName: "shelly-receiver", connectTimeout: Self.connectTimeout, timeout: Self.queryTimeout)
        connection = new
        return new
    }
}
