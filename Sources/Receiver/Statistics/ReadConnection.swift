import Postgres

/// A database connection for interactive queries, kept between queries and reopened when it was lost.
///
/// If the database may sleep, the connection is closed after each query.
struct ReadConnection {
    private let url: String
    private let connectTimeout: Duration
    /// Timeout for each statement without one.
    let queryTimeout: Duration
    private let isKept: Bool
    private let progress: () -> Void
    private var connection: Connection?

    /// - Parameter progress: called at each step of connecting.
    init(
        url: String, connectTimeout: Duration, queryTimeout: Duration, isKept: Bool,
        progress: @escaping () -> Void = {}
    ) {
        self.progress = progress
        self.isKept = isKept
        self.url = url
        self.connectTimeout = connectTimeout
        self.queryTimeout = queryTimeout
    }

    /// Runs `body`, at most twice.
    mutating func query<Value>(
        _ body: (Connection) throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value {
        let started = ContinuousClock.now
        defer { if !isKept { connection = nil } }
        do throws(PostgresError) {
            return try body(open())
        } catch {
            // On a kept connection, a query fails at once if the server was restarted. Then there is time to retry.
            let isLost = connection.map { !$0.isUsable } ?? false
            connection = nil
            guard isLost, started.duration(to: .now) < connectTimeout / 4 else { throw error }
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
            url, applicationName: "shelly-receiver", connectTimeout: connectTimeout, timeout: queryTimeout,
            progress: progress)
        connection = new
        return new
    }
}
