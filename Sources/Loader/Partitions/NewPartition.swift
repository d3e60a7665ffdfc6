import Postgres

/// A partition to create, with the indexes that a plain table of readings has.
struct NewPartition {
    /// Schema and name of the table, unquoted.
    let schema: String
    let parent: String
    let name: String
    let minutes: Range<Int64>
    /// Whether it gets a primary key on `id`, because the table has none, or `id` is not its column.
    let hasPrimaryKey: Bool

    /// - Parameter number: 1, or higher if the name is in use.
    init(
        of parent: String, in schema: String, _ minutes: Range<Int64>, width: PartitionWidth, hasPrimaryKey: Bool,
        number: Int = 1
    ) {
        self.schema = schema
        self.parent = parent
        self.minutes = minutes
        self.hasPrimaryKey = hasPrimaryKey
        // PostgreSQL truncates names after 63 bytes.
        let prefix = String(decoding: parent.utf8.prefix(40), as: UTF8.self)
        name = "\(prefix)_\(width.suffix(of: minutes))" + (number == 1 ? "" : "_\(number)")
    }

    var quoted: String { TableName.quote(schema) + "." + TableName.quote(name) }

    /// ATTACH locks neither readers nor writers of the table out, as PARTITION OF would.
    var statements: [String] {
        let table = TableName.quote(schema) + "." + TableName.quote(parent)
        let copied = ["DEFAULTS", "CONSTRAINTS", "GENERATED", "STORAGE", "COMMENTS"]
        return [
            "CREATE TABLE \(quoted) (LIKE \(table)\(copied.map { " INCLUDING " + $0 }.joined())"
                + (hasPrimaryKey ? ", PRIMARY KEY (id))" : ")"),
            "CREATE UNIQUE INDEX ON \(quoted) (idempotency_key) WHERE idempotency_key IS NOT NULL",
            "ALTER TABLE \(table) ATTACH PARTITION \(quoted) FOR VALUES FROM (\(Partition.literal(minutes.lowerBound))) "
                + "TO (\(Partition.literal(minutes.upperBound)))",
        ]
    }
}
