import Postgres

/// A connection for the questions of people who wait: kept from one to the next, made again when it was lost, and given up
/// in less than two seconds.
struct ReadConnection {
    static let queryTimeout = Duration.milliseconds(1100)
    private static let connectTimeout = Duration.milliseconds(700)

    private let url: String
    private var connection: Connection?

    init(url: String) { self.url = url }

    /// Runs `body`, twice at most. It shall not ask for more time than `queryTimeout`.
    mutating func ask<Answer>(
        _ body: (Connection) throws(PostgresError) -> Answer
    ) throws(PostgresError) -> Answer {
        let started = ContinuousClock.now
        do throws(PostgresError) {
            return try body(open())
        } catch {
            // A kept connection tells at once that the server was restarted meanwhile; then there is time for another one.
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
