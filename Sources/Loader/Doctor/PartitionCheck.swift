import Checkup
import Postgres
import Time

/// Checks that rows of now and of tomorrow have a partition, and that partitions can expire.
struct PartitionCheck {
    private let connection: Connection
    private let table: TableName
    private let retention: RowRetention?

    init(_ connection: Connection, _ table: TableName, retention: RowRetention?) {
        self.connection = connection
        self.table = table
        self.retention = retention
    }

    func results() -> [CheckResult] {
        do throws(PostgresError) {
            guard let list = try PartitionedTable(name: table).partitions(on: connection) else {
                guard let retention else { return [] }
                return [
                    .warn(
                        "partitions",
                        "LOADER_ROW_RETENTION_DAYS is \(retention.days), but \(table.quoted) is not partitioned by time: no row "
                            + "is dropped",
                        do: "partition it as docs/MOVING_IN.md says, or remove the setting")
                ]
            }
            return try results(list)
        } catch {
            return [
                .fail("partitions", "\(error)", do: "look at the table (\\d+ in psql)", isTemporary: error.isTemporary)
            ]
        }
    }

    private func results(_ list: PartitionList) throws(PostgresError) -> [CheckResult] {
        var results: [CheckResult] = []
        let (now, day) = (Timestamp.now.minute, PartitionWidth.minutesOfDay)
        if let standard = list.standard {
            results.append(
                .warn(
                    "partitions",
                    "\(standard.name) is the default partition: the loader creates no partitions, and rows in it do not expire",
                    do: "move its rows to partitions of their time, and detach it"))
        } else if try !mayCreate() {
            let lacking = [now, now + day].first { !list.has($0) }
            let text = lacking.map { "no partition for \(Timestamp(minute: $0).readable(.minutes)) UTC" }
            let remedy =
                "make the role the owner of \(table.quoted), with CREATE on its schema, or create partitions ahead"
            if let text {
                let finding = "\(text), and the role may not create it"
                results.append(
                    list.has(now) ? .warn("partitions", finding, do: remedy) : .fail("partitions", finding, do: remedy))
            }
        }
        for partition in list.ranges where partition.isDetaching {
            results.append(
                .warn(
                    "partitions", "\(partition.name) is being detached: readings of its time stop the loader",
                    do: "ALTER TABLE \(table.quoted) DETACH PARTITION \(partition.name) FINALIZE"))
        }
        guard results.isEmpty else { return results }
        let expiry = retention.map { ", rows expire after \($0.days.counted("day"))" } ?? ""
        return [.ok("partitions", "\(list.ranges.count.counted("partition")) by \(list.width.rawValue)\(expiry)")]
    }

    private func mayCreate() throws(PostgresError) -> Bool {
        try connection.execute(
            """
            SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE')
            FROM pg_class WHERE oid = to_regclass($1)
            """, [.text(table.quoted)])[0, 0] == "t"
    }
}
