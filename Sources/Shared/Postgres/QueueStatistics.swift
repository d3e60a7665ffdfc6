/// The last 24 hours of the table, as `GET /api/stats/queue` and `shelly-loader stats` tell them.
public struct QueueStatistics: Sendable, Encodable {
    /// Always `24h`.
    public let period = "24h"
    /// Rows.
    public let totalLogs: Int
    /// Rows with an idempotency key, which came through the queue.
    public let fromQueue: Int
    /// Distinct devices.
    public let devices: Int
    /// The newest reading's time, ISO 8601 with offset; nil when there is none.
    public let lastInsert: String?

    /// Asks the database.
    public static func read(
        from connection: Connection, table: TableName, timeout: Duration
    ) throws(PostgresError) -> QueueStatistics {
        // The cast serves a table whose column has no zone; the session's is UTC.
        let rows = try connection.execute(
            """
            SELECT count(*), count(*) FILTER (WHERE idempotency_key IS NOT NULL), count(DISTINCT device_id),
                   to_char(max("timestamp")::timestamptz, 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
            FROM \(table.quoted) WHERE "timestamp" > now() - interval '24 hours'
            """, timeout: timeout)
        return QueueStatistics(
            totalLogs: rows.integer(0, 0) ?? 0, fromQueue: rows.integer(0, 1) ?? 0, devices: rows.integer(0, 2) ?? 0,
            lastInsert: rows[0, 3])
    }

    private enum CodingKeys: String, CodingKey {
        case period, devices
        case totalLogs = "total_logs"
        case fromQueue = "from_queue"
        case lastInsert = "last_insert"
    }

    // `last_insert` is there in any case, null when the table is empty.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(period, forKey: .period)
        try container.encode(totalLogs, forKey: .totalLogs)
        try container.encode(fromQueue, forKey: .fromQueue)
        try container.encode(devices, forKey: .devices)
        try container.encode(lastInsert, forKey: .lastInsert)
    }
}
