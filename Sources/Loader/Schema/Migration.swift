import Postgres

/// One step of the schema's history. A released step is never edited; a later change gets the next number.
struct Migration {
    /// The object that the step creates. If it exists, the step has been done.
    enum Object {
        case table
        /// A column, with its table's name quoted for SQL.
        case column(String, of: String)
        /// An index and its column.
        case index(String, on: String)
        /// Another table, with its name quoted for SQL.
        case otherTable(String)
    }

    let number: Int
    let object: Object
    /// A short description for people: `table "power_logs"`.
    let subject: String
    /// Statements that can be repeated, and that do not block writers to a large live table.
    let statements: [String]

    /// All steps for the given table of readings.
    ///
    /// - Parameter isPartitioned: whether it is partitioned by time, if it does not exist yet.
    static func all(for table: TableName, isPartitioned: Bool = false) -> [Migration] {
        let readings = table.quoted
        let progress = table.quoted(ProgressTable.name)
        let lease = table.quoted(SpoolLease.name)
        // `idx_power_logs_…`, the names of the first release. PostgreSQL truncates names after 63 bytes.
        let prefix = "idx_" + String(decoding: table.name.utf8.prefix(40), as: UTF8.self)
        return [
            Migration(
                number: 1, object: .table, subject: "table \(readings)",
                statements: [
                    """
                    CREATE TABLE IF NOT EXISTS \(readings) (
                        id bigserial\(isPartitioned ? "" : " PRIMARY KEY"),
                        device_id text,
                        channel int,
                        power double precision,
                        voltage double precision,
                        "current" double precision,
                        "timestamp" timestamptz\(isPartitioned ? " NOT NULL" : ""),
                        idempotency_key text
                    )\(isPartitioned ? " PARTITION BY RANGE (\"timestamp\")" : "")
                    """,
                    comment(readings, "device_id", "Name of the device, its src"),
                    comment(readings, "channel", "Channel of the device, 0 to 3"),
                    comment(readings, "power", "Active power in watts; negative when power is fed in"),
                    comment(readings, "voltage", "Volts; null if the device did not report it"),
                    comment(readings, "current", "Amperes; null if the device did not report it"),
                    comment(readings, "timestamp", "When the device measured"),
                ]),
            Migration(
                number: 2, object: .column("idempotency_key", of: readings),
                subject: "column \(readings).idempotency_key",
                statements: [
                    "ALTER TABLE \(readings) ADD COLUMN IF NOT EXISTS idempotency_key text",
                    comment(
                        readings, "idempotency_key",
                        "{device_id}_{channel}_{minute since 1970}; null in rows that did not come through the queue"),
                ]),
            index(
                3, prefix + "_idempotency", "UNIQUE ", on: "idempotency_key",
                "(idempotency_key) WHERE idempotency_key IS NOT NULL", table),
            index(4, prefix + "_timestamp", "", on: "timestamp", "(\"timestamp\" DESC)", table),
            Migration(
                number: 5, object: .otherTable(progress), subject: "table \(progress)",
                statements: [
                    """
                    CREATE TABLE IF NOT EXISTS \(progress) (
                        spool uuid,
                        segment bigint,
                        created text,
                        bytes bigint NOT NULL,
                        records bigint NOT NULL,
                        readings bigint NOT NULL,
                        inserted bigint NOT NULL,
                        duplicates bigint NOT NULL,
                        rejected bigint NOT NULL,
                        finished boolean NOT NULL,
                        updated_at timestamptz NOT NULL,
                        PRIMARY KEY (spool, segment, created)
                    )
                    """,
                    comment(progress, "spool", "Identity of the spool, from its spool.json"),
                    comment(progress, "segment", "Number of the segment"),
                    comment(
                        progress, "created", "When the segment was created, as its header says; empty if unreadable"),
                    comment(progress, "bytes", "Bytes of the segment that are loaded"),
                    comment(progress, "records", "Records among them"),
                    comment(progress, "readings", "Readings in them: inserted + duplicates + rejected"),
                    comment(progress, "inserted", "Readings that became rows"),
                    comment(progress, "duplicates", "Readings whose key was in the table before"),
                    comment(progress, "rejected", "Readings that are in rejected/ with their reason"),
                    comment(progress, "finished", "Whether the segment is complete and fully loaded"),
                    comment(progress, "updated_at", "When this row was last written"),
                ]),
            Migration(
                number: 6, object: .column("conflicts", of: progress), subject: "column \(progress).conflicts",
                statements: [
                    "ALTER TABLE \(progress) ADD COLUMN IF NOT EXISTS conflicts bigint NOT NULL DEFAULT 0",
                    comment(progress, "conflicts", "Duplicates with other values than the reading that was first"),
                ]),
            Migration(
                number: 7, object: .otherTable(lease), subject: "table \(lease)",
                statements: [
                    """
                    CREATE TABLE IF NOT EXISTS \(lease) (
                        spool uuid PRIMARY KEY,
                        holder text NOT NULL,
                        renewed_at timestamptz NOT NULL
                    )
                    """,
                    comment(lease, "spool", "Identity of the spool that a loader drains"),
                    comment(lease, "holder", "Machine and directory of the spool that the loader drains"),
                    comment(lease, "renewed_at", "When the loader last renewed the lease"),
                ]),
        ]
    }

    /// The columns of the readings' table except `id` and the key. An existing table of that name gets the missing
    /// ones.
    static let readingColumns = [
        ("device_id", "text"), ("channel", "int"), ("power", "double precision"), ("voltage", "double precision"),
        ("current", "double precision"), ("timestamp", "timestamptz"),
    ]

    private static func index(
        _ number: Int, _ name: String, _ kind: String, on column: String, _ definition: String, _ table: TableName
    ) -> Migration {
        let create =
            "CREATE \(kind)INDEX CONCURRENTLY IF NOT EXISTS \(TableName.quote(name)) ON \(table.quoted) \(definition)"
        return Migration(
            number: number, object: .index(name, on: column), subject: "index \(table.quoted(name))",
            statements: [create])
    }

    private static func comment(_ table: String, _ column: String, _ text: String) -> String {
        "COMMENT ON COLUMN \(table).\(TableName.quote(column)) IS '\(text)'"
    }
}
