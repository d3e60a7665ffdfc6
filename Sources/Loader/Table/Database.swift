import Postgres

/// The destination of the readings: the server's address and the table's name.
struct Database: Sendable {
    /// URL or key/value list; empty for libpq's own variables.
    let conninfo: String
    let table: TableName
    /// Timeout for a statement, after which the database counts as unavailable.
    var statementTimeout = Duration.seconds(120)

    func connect() throws(PostgresError) -> Connection {
        try Connection(conninfo, applicationName: "shelly-loader", timeout: statementTimeout)
    }
}
