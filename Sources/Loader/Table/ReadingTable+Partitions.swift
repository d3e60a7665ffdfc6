import Postgres

extension ReadingTable {
    /// Rows of one partition, or of a table without partitions, by key as `RowBuffer.sorted` has them.
    struct Part {
        let partition: Partition?
        var sorted: [Int32]
    }

    /// The rows by partition, in the order of time, so that two loaders cannot deadlock.
    ///
    /// Throws `LoaderError.noPartition` if there is none for a row.
    func parts(of rows: RowBuffer, on connection: Connection) throws -> [Part] {
        let sorted = rows.sorted()
        guard hint.isPartitioned != false else { return [Part(partition: nil, sorted: sorted)] }
        // Keeps the bounds as they are until the transaction ends.
        _ = try connection.execute(noRow)
        let list = try PartitionedTable(name: name).partitions(on: connection)
        hint.isPartitioned = list != nil
        guard let list else { return [Part(partition: nil, sorted: sorted)] }
        let (parts, missing) = Self.parts(of: rows, sorted, by: list)
        guard missing.isEmpty else { throw LoaderError.noPartition(table: name.quoted, minutes: missing) }
        return parts
    }

    /// The rows by partition, and the minutes of those that have none.
    static func parts(
        of rows: RowBuffer, _ sorted: [Int32], by list: PartitionList
    ) -> (parts: [Part], missing: [Int64]) {
        var parts = list.all.map { Part(partition: $0, sorted: []) }
        var missing: Set<Int64> = []
        for index in sorted {
            let minute = rows.rows[Int(index)].minute
            if let place = list.index(of: minute) {
                parts[place].sorted.append(index)
            } else {
                missing.insert(minute)
            }
        }
        return (parts.filter { !$0.sorted.isEmpty }, missing.sorted())
    }
}
