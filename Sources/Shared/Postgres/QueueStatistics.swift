public import Text

/// Statistics of the table's last 24 hours, for `GET /api/stats/queue` and `shelly-loader stats`.
public struct QueueStatistics: Sendable, Encodable {
    /// Always `24h`.
    public let period = "24h"
    /// Number of rows.
    public let totalLogs: Int
    /// Number of rows with an idempotency key, which came through the queue.
    public let fromQueue: Int
    /// Number of distinct devices.
    public let devices: Int
    /// The newest reading's time, `2026-11-23T17:49:10+00:00`, with microseconds if it has any, or nil without
    /// readings.
    @AlwaysEncoded public private(set) var lastInsert: String?

    public init(totalLogs: Int = 0, fromQueue: Int = 0, devices: Int = 0, lastInsert: String? = nil) {
        self.totalLogs = totalLogs
        self.fromQueue = fromQueue
        self.devices = devices
        self.lastInsert = lastInsert
    }

    /// Queries the database in one statement, with `timeout` both at the server and at the client.
    ///
    /// The `timestamp` column may be with or without time zone; without, it is UTC. Fails like `Connection.execute`. If
    /// the server's timeout ends it first, the error is 57014, which is temporary and leaves the connection usable.
    public static func read(
        from connection: Connection, table: TableName, timeout: Duration
    ) throws(PostgresError) -> QueueStatistics {
        let milliseconds = timeout.components.seconds * 1000 + timeout.components.attoseconds / 1_000_000_000_000_000
        // Statements that are sent together are one transaction, so LOCAL applies to the second one and ends with it.
        // Without the server's timeout, a slow server would continue to count for clients that have already timed out.
        // Grouping by device first is five times as fast as count(DISTINCT device_id), which sorts all rows.
        let rows = try connection.execute(
            """
            SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = \(max(1, milliseconds));
            SELECT coalesce(sum(rows_), 0), coalesce(sum(queued), 0), count(device_id),
                   replace(to_char(max(newest)::timestamptz, 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '') || '+00:00'
            FROM (
                SELECT device_id, count(*) AS rows_, count(idempotency_key) AS queued, max("timestamp") AS newest
                FROM \(table.quoted) WHERE "timestamp" > now() - interval '24 hours' GROUP BY device_id
            ) AS device
            """, timeout: timeout)
        guard rows.count == 1, rows.columns.count == 4 else { throw .invalid("the statistics are not one row") }
        return QueueStatistics(
            totalLogs: rows.integer(0, 0) ?? 0, fromQueue: rows.integer(0, 1) ?? 0, devices: rows.integer(0, 2) ?? 0,
            lastInsert: rows[0, 3])
    }

    /// Queries a table given as `table` or `schema.table`.
    public static func read(
        from connection: Connection, table: String = "power_logs", timeout: Duration
    ) throws(PostgresError) -> QueueStatistics {
        try read(from: connection, table: TableName(table), timeout: timeout)
    }

    private enum CodingKeys: String, CodingKey {
        case period, devices
        case totalLogs = "total_logs"
        case fromQueue = "from_queue"
        case lastInsert = "last_insert"
    }
}
