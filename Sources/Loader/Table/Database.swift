import Postgres

/// Where the readings go: how to reach the server, and what the table is called there.
struct Database: Sendable {
    /// URL or key/value list; empty for libpq's own variables.
    let conninfo: String
    let table: TableName
    /// After this long without an answer the database counts as away.
    var statementTimeout = Duration.seconds(120)

    func connect() throws(PostgresError) -> Connection {
        try Connection(conninfo, applicationName: "shelly-loader", timeout: statementTimeout)
    }
}
