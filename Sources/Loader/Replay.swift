import Postgres
import Readings
import Spool

/// Inserts again what segments hold, wherever they come from. Rows that are there stay as they are, so it can be
/// repeated; the spool and its progress are not touched.
struct Replay {
    let selection: ReadingSelection
    /// Where the readings go, nil to count them only.
    let destination: Destination?
    /// Gets a sentence about each byte range that is no record.
    let damaged: (String) -> Void

    struct Destination {
        let connection: Connection
        let table: ReadingTable
        var statementRows = 50_000
    }

    struct Counts: Encodable, Equatable {
        var records = 0
        /// Selected readings; with a destination always inserted + duplicates + rejected.
        var readings = 0
        var inserted = 0
        var duplicates = 0
        var rejected = 0
        var invalidMessages = 0
        var damagedRanges = 0

        private enum CodingKeys: String, CodingKey {
            case records, readings, inserted, duplicates, rejected
            case invalidMessages = "invalid_messages"
            case damagedRanges = "damaged_ranges"
        }
    }

    private static let attempts = 5

    func run(_ file: SegmentFile) throws -> Counts {
        var counts = Counts()
        let rows = RowBuffer()
        let decoder = BatchDecoder()
        try file.forEachRecord { damage in
            counts.damagedRanges += 1
            damaged(damage)
        } _: { record, position in
            counts.records += 1
            guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else {
                counts.invalidMessages += 1
                return
            }
            counts.invalidMessages += batch.invalid.count
            for fault in batch.faults where selection.isEverything || selection.device == batch.devices[fault.device] {
                counts.readings += 1
                counts.rejected += 1
            }
            for reading in batch.readings where selection.includes(reading, in: batch) {
                counts.readings += 1
                if destination == nil { continue }
                rows.append(reading, of: batch.devices[reading.device], record: position.sequence)
            }
            if let destination, rows.count >= destination.statementRows { try insert(rows, destination, &counts) }
        }
        if let destination, !rows.isEmpty { try insert(rows, destination, &counts) }
        return counts
    }

    private func insert(_ rows: RowBuffer, _ destination: Destination, _ counts: inout Counts) throws {
        let outcome = try destination.connection.retryingTransaction(Self.attempts) {
            try destination.table.insert(rows, on: destination.connection)
        }
        counts.inserted += outcome.inserted
        counts.duplicates += outcome.duplicates
        counts.rejected += outcome.refusals.count
        rows.removeAll()
    }
}

extension Connection {
    /// As `transaction`, and once more when it only lost against another one.
    func retryingTransaction<T>(_ attempts: Int, _ body: () throws -> T) throws -> T {
        for _ in 1..<attempts {
            do {
                return try transaction(body)
            } catch let error as PostgresError where error.isRetryable {}
        }
        return try transaction(body)
    }
}
