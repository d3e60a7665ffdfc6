// Status: `status`: positions in the spool and in the database.
// Begin here.
// Uses DeadLetters, Schema, Table, Postgres, Spool, Text, Time.

import Postgres
import Spool
import Text
import Time

/// The state of a spool: pending and loaded segments, and the processes that hold its locks.
struct SpoolStatus: Encodable {
    struct DeadLetterTotals: Encodable {
        var files = 0
        var lines = 0
    }

    let spool: String
    let path: String
    /// Process that holds the receiver's lock, or nil if none does.
    let receiver: String?
    let loader: String?
    let pending: SpoolContents.Totals
    let loaded: SpoolContents.Totals
    /// Those of the loaded ones that are compressed.
    let compressed: SpoolContents.Totals
    /// Pending segments with records that are not loaded yet, the bytes of these segments that are not loaded, and the
    /// records.
    let backlogSegments: Int
    let backlogBytes: Int
    let backlogRecords: Int
    /// The oldest pending segments, at most a hundred.
    let pendingSegments: [SpoolContents.Pending]
    /// Age of the oldest record that is not loaded, or nil if there is none.
    let oldestUnloadedSeconds: Double?
    private(set) var deadLetters = DeadLetterTotals()
    /// When the loader last made progress.
    let lastLoad: Timestamp?
    /// When the loader last drained the whole spool without a problem.
    let lastDrain: Timestamp?
    /// The problem with the database, or nil if it returned the progress and has the table. If it did not return the
    /// progress, the spool's load mark is used instead.
    let databaseProblem: String?

    private static let listed = 100

    private enum CodingKeys: String, CodingKey {
        case spool, path, receiver, loader, pending, loaded, compressed
        case backlogSegments = "backlog_segments"
        case backlogBytes = "backlog_bytes"
        case backlogRecords = "backlog_records"
        case pendingSegments = "pending_segments"
        case oldestUnloadedSeconds = "oldest_unloaded_seconds"
        case deadLetters = "dead_letters"
        case lastLoad = "last_load"
        case lastDrain = "last_drain"
        case databaseProblem = "database_problem"
    }

    /// Reads the spool, and queries the database for the progress of its segments.
    static func read(_ directory: SpoolDirectory, _ database: Database) throws -> SpoolStatus {
        do {
            let connection = try database.connect()
            let progress = try ProgressTable(spool: directory.identity, beside: database.table).read(on: connection)
            let isThere = try TableInspection(connection: connection, table: database.table).exists(
                database.table.quoted)
            let problem = "reachable, but table \(database.table.quoted) does not exist; run 'shelly-loader migrate'"
            return try SpoolStatus(directory, progress: progress, databaseProblem: isThere ? nil : problem)
        } catch let error as PostgresError {
            let problem = error.needsMigration ? "\(error); run 'shelly-loader migrate'" : "\(error)"
            return try SpoolStatus(directory, progress: nil, databaseProblem: problem)
        }
    }

    private init(
        _ directory: SpoolDirectory, progress: [Progress.Key: Progress]?, databaseProblem: String?
    ) throws {
        let mark = directory.loadMark()
        spool = directory.identity
        path = directory.path.string
        receiver = SpoolLock.holder(of: .receiver, in: directory.path)
        loader = SpoolLock.holder(of: .loader, in: directory.path)
        lastLoad = mark?.loadedAt
        lastDrain = directory.drainMark()?.drainedAt
        self.databaseProblem = databaseProblem
        let contents = try SpoolContents(of: directory, now: .now) { segment, file in
            progress.map { Self.loadedPart(of: segment, file, $0) } ?? mark?.part(ofSegment: segment.number) ?? .none
        }
        pending = contents.pending
        loaded = contents.loaded
        compressed = contents.compressed
        backlogSegments = contents.backlog.segments
        backlogBytes = contents.backlog.bytes
        backlogRecords = contents.backlog.records
        oldestUnloadedSeconds = contents.backlog.oldestAgeSeconds
        pendingSegments = Array(contents.pendingSegments.prefix(Self.listed))
        let rejected = DeadLetters(directory: directory)
        deadLetters.files = try rejected.files().count
        try rejected.forEachLine { _ in deadLetters.lines += 1 }
    }

    /// `12 segments, 3.4 MB, 11 of them compressed, 2.1 MB`.
    var loadedText: String {
        "\(loaded.segments.counted("segment")), \(loaded.bytes.inBytes), "
            + "\(compressed.segments) of them compressed, \(compressed.bytes.inBytes)"
    }

    private static func loadedPart(
        of segment: SpoolDirectory.Segment, _ file: any DiskFile, _ progress: [Progress.Key: Progress]
    ) -> SpoolContents.LoadedPart {
        guard let firstLine = try? SegmentFirstLine(of: file, at: segment.path),
            let known = progress[Progress.Key(segment: segment.number, created: firstLine.header?.created ?? "")]
        else { return .none }
        return SpoolContents.LoadedPart(bytes: known.bytes, records: known.records)
    }
}
