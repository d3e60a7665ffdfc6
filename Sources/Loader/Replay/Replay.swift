// Replay: `replay` and `cat`: retained records again, to the database or to the terminal.
// Begin here.
// Uses CommandLine, DeadLetters, Partitions, Segments, Table, Postgres, Readings, Spool, Text, Time.

import Postgres
import Readings
import Spool
import SystemPackage
import Time

/// Inserts the readings of segments again, from this or another spool. Existing rows stay unchanged, so it can be
/// repeated. It does not change the spool or the progress.
struct Replay {
    let selection: ReadingSelection
    /// Rules in place of the segments' own.
    let rules: RuleChange
    /// The destination of the readings, or nil to only count them.
    let destination: Destination?
    /// Called once per damaged byte range.
    let damaged: (String) -> Void

    struct Destination {
        let connection: Connection
        let table: ReadingTable
        var statementRows = 50_000
    }

    struct Counts: Encodable, Equatable {
        var records = 0
        /// Selected readings. With a destination, always inserted + duplicates + rejected.
        var readings = 0
        var inserted = 0
        var duplicates = 0
        /// Duplicates with another value or second than the first reading with the same key.
        var conflicts = 0
        var rejected = 0
        /// If a device is selected, only those of records with its name.
        var invalidMessages = 0
        var damagedRanges = 0

        private enum CodingKeys: String, CodingKey {
            case records, readings, inserted, duplicates, conflicts, rejected
            case invalidMessages = "invalid_messages"
            case damagedRanges = "damaged_ranges"
        }
    }

    private static let attempts = 5

    /// Inserts a segment's readings.
    func run(_ file: SegmentFile) throws -> Counts {
        var counts = Counts()
        let rows = RowBuffer()
        let decoder = BatchDecoder()
        try file.forEachRecord(for: decoder, changing: rules.applied) { damage in
            counts.damagedRanges += 1
            damaged(damage)
        } _: { record, position in
            guard selection.mayInclude(record.body) else {
                counts.records += 1
                return
            }
            try add(try? decoder.decode(record.body, receivedAt: record.receivedAt), position.sequence, rows, &counts)
        }
        try finish(rows, &counts)
        return counts
    }

    /// Inserts the readings of a dead letter file that can be inserted now. Each message is decoded as if it had just
    /// been received, by the reading rules of its segment. The file stays unchanged.
    func run(deadLetters path: FilePath) throws -> Counts {
        var counts = Counts()
        let rows = RowBuffer()
        let decoder = BatchDecoder()
        let members = JSONMembers()
        let now = Timestamp.now.unixMilliseconds
        var number = 0
        var failure: (any Error)?
        try DeadLetters.forEachLine(of: path) { line in
            number += 1
            guard failure == nil else { return }
            guard members.read(line), let body = Self.body(members),
                let own = ReadingRules(header: members.string(of: "rules").map { String(decoding: $0, as: UTF8.self) })
            else {
                counts.damagedRanges += 1
                return damaged("\(path) line \(number): not a dead letter")
            }
            decoder.rules = rules.applied(to: own)
            let channel = members.integer(of: "channel").map { Int($0) }
            do {
                try add(try? decoder.decode(body, receivedAt: now), number, channel: channel, rows, &counts)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        try finish(rows, &counts)
        return counts
    }

    /// A batch with the dead letter's message, or the body of a record that was not a valid batch.
    private static func body(_ deadLetter: JSONMembers) -> [UInt8]? {
        if let message = deadLetter.text(of: "message") { return Array("{\"messages\":[\(message)]}".utf8) }
        return deadLetter.string(of: "body")
    }

    /// Adds a record's readings. If a dead letter is about one channel, only that channel's reading is added.
    private func add(
        _ batch: Batch?, _ record: Int, channel: Int? = nil, _ rows: RowBuffer, _ counts: inout Counts
    ) throws {
        counts.records += 1
        guard let batch else {
            counts.invalidMessages += 1
            return
        }
        counts.invalidMessages += batch.invalid.count
        let faults = batch.faults.count {
            channel ?? $0.channel == $0.channel
                && selection.includes(device: batch.devices[$0.device], timestamp: $0.timestamp)
        }
        counts.readings += faults
        counts.rejected += faults
        for reading in batch.readings
        where channel ?? reading.channel == reading.channel && selection.includes(reading, in: batch) {
            counts.readings += 1
            if destination == nil { continue }
            rows.append(reading, of: batch.devices[reading.device], record: record)
        }
        if let destination, rows.count >= destination.statementRows { try insert(rows, destination, &counts) }
    }

    private func finish(_ rows: RowBuffer, _ counts: inout Counts) throws {
        if let destination, !rows.isEmpty { try insert(rows, destination, &counts) }
    }

    private func insert(_ rows: RowBuffer, _ destination: Destination, _ counts: inout Counts) throws {
        let partitions = PartitionUpkeep(table: destination.table.name, connection: destination.connection) { _ in }
        let outcome = try partitions.transaction(Self.attempts) {
            try destination.table.insert(rows, on: destination.connection)
        }
        counts.inserted += outcome.inserted
        counts.duplicates += outcome.duplicates
        counts.conflicts += outcome.conflicts
        counts.rejected += outcome.refusedRows.count
        rows.removeAll()
    }
}
