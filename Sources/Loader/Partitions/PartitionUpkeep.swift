import Postgres
import Time

/// Makes the partitions that rows need, now and ahead of time, and drops those that are past the retention.
///
/// A new partition is attached under a lock that blocks neither readers nor writers. To drop one, PostgreSQL locks the
/// whole table for a moment. Both wait for their lock for a short time only, and are tried again later.
struct PartitionUpkeep {
    let table: TableName
    let connection: Connection
    /// Receives a sentence for each partition that was created or dropped.
    let report: (String) -> Void
    var lockTimeout = Duration.seconds(2)

    /// How far ahead there are partitions, and how far back if the table is new: as long as the spool keeps readings.
    private static let minutesAhead = 7 * PartitionWidth.minutesOfDay
    private static let minutesBack = 14 * PartitionWidth.minutesOfDay
    private static let attempts = 5

    private var partitioned: PartitionedTable { PartitionedTable(name: table) }

    /// Runs a transaction. If its rows have no partition, creates it and runs the transaction again.
    func transaction<T>(_ attempts: Int, _ body: () throws -> T) throws -> T {
        do {
            return try connection.retryingTransaction(attempts, body)
        } catch LoaderError.noPartition(_, let minutes) {
            try create(for: minutes)
        }
        return try connection.retryingTransaction(attempts, body)
    }

    /// Creates the partitions of the coming days. It creates none if the table is not partitioned by time, or has a
    /// default partition.
    func createAhead() throws {
        guard let list = try partitioned.partitions(on: connection) else { return }
        let now = try serverMinute()
        try create(for: Self.missing(now...(now + Self.minutesAhead), in: list, width: list.width))
    }

    /// Creates the first partitions of a table: back to the oldest readings of a spool, ahead, and one for all that is
    /// older.
    func createFirst(_ width: PartitionWidth) throws {
        let ranges = try Self.firstRanges(width, now: serverMinute())
        try create(for: ranges.map { max(0, $0.lowerBound) }, width: width)
    }

    /// The ranges of a table's first partitions.
    static func firstRanges(_ width: PartitionWidth, now: Int64) -> [Range<Int64>] {
        let ranges = missing(max(0, now - minutesBack)...(now + minutesAhead), in: PartitionList(), width: width)
            .map(width.range(of:))
        return ranges + [.min..<(ranges.first?.lowerBound ?? now)]
    }

    /// Drops the partitions that are past the retention.
    func drop(pastRetention retention: RowRetention) throws {
        guard let list = try partitioned.partitions(on: connection) else { return }
        let now = try min(serverMinute(), Timestamp.now.minute)
        let expired = try retention.expired(list, now: now) { partition in
            let condition = partition.condition(on: "\"timestamp\"")
            return try connection.query("SELECT FROM \(table.quoted) WHERE true\(condition) LIMIT 1").affected > 0
        }
        for partition in expired {
            try connection.retryingTransaction(Self.attempts) {
                try limitLocks()
                _ = try connection.execute("DROP TABLE \(partition.name)")
            }
            report("dropped partition \(partition.name), whose rows are older than \(retention.days.counted("day"))")
        }
    }

    /// Creates the partitions of these minutes, each in a transaction.
    private func create(for minutes: [Int64], width: PartitionWidth? = nil) throws {
        var minutes = minutes
        while true {
            guard !minutes.isEmpty, let list = try partitioned.partitions(on: connection) else { return }
            minutes.removeAll(where: list.has)
            guard let minute = minutes.first else { return }
            do {
                try connection.retryingTransaction(Self.attempts) { try create(for: minute, width) }
            } catch let error as PostgresError where error.sqlState == "55P03" {
                throw PostgresError.unavailable(
                    "a partition of \(table.quoted) cannot be created, because another session locks the table; "
                        + "pg_stat_activity shows it")
            } catch let error as PostgresError where error.sqlState == "42501" {
                throw try notAllowed(minute, list, error)
            }
        }
    }

    private func create(for minute: Int64, _ width: PartitionWidth?) throws {
        try limitLocks()
        // Another loader that creates the same partition waits here, and then finds it.
        _ = try connection.execute("LOCK TABLE ONLY \(table.quoted) IN SHARE UPDATE EXCLUSIVE MODE")
        guard let list = try partitioned.partitions(on: connection), let new = try partition(for: minute, list, width)
        else { return }
        for statement in new.statements { _ = try connection.execute(statement) }
        report("created partition \(new.quoted)")
    }

    /// The new partition for a minute, with a name that is not in use; nil if there is one.
    private func partition(
        for minute: Int64, _ list: PartitionList, _ width: PartitionWidth?
    ) throws(PostgresError) -> NewPartition? {
        let width = width ?? list.width
        guard let range = list.missingRange(for: minute, width: width) else { return nil }
        let parent = try connection.execute(
            """
            SELECT n.nspname, c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id')
                AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)
            """, [.text(table.quoted)])
        var number = 1
        while true {
            let new = NewPartition(
                of: parent[0, 1] ?? "", in: parent[0, 0] ?? "", range, width: width,
                hasPrimaryKey: parent[0, 2] == "t", number: number)
            if try connection.execute("SELECT to_regclass($1)", [.text(new.quoted)])[0, 0] == nil { return new }
            number += 1
        }
    }

    private func notAllowed(_ minute: Int64, _ list: PartitionList, _ error: PostgresError) throws -> LoaderError {
        let statements = try partition(for: minute, list, nil)?.statements ?? []
        return .unfit(
            table: table.quoted,
            reason:
                "has no partition for \(Timestamp(minute: minute).readable(.minutes)) UTC, and the role may not create "
                + "it: \(error)",
            remedy: "make the role the table's owner, with CREATE on its schema, or, as its owner: "
                + statements.joined(separator: "; "))
    }

    /// The first minute of each day, week or month within a span that has no partition.
    private static func missing(
        _ span: ClosedRange<Int64>, in list: PartitionList, width: PartitionWidth
    ) -> [Int64] {
        var minutes: [Int64] = []
        var minute = span.lowerBound
        while minute <= span.upperBound {
            if !list.has(minute) { minutes.append(minute) }
            minute = width.range(of: minute).upperBound
        }
        return minutes
    }

    /// The server's clock.
    private func serverMinute() throws(PostgresError) -> Int64 {
        let rows = try connection.execute("SELECT floor(extract(epoch FROM clock_timestamp()) / 60)::bigint")
        return Int64(rows.integer(0, 0) ?? 0)
    }

    private func limitLocks() throws(PostgresError) {
        _ = try connection.execute("SET LOCAL lock_timeout TO \(Int(lockTimeout / .milliseconds(1)))")
    }
}
