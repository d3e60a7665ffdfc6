import Postgres
import Spool
import SystemPackage
import Time

/// The state of a spool: pending and loaded segments, and the processes that hold its locks.
struct SpoolStatus: Encodable {
    struct Pending: Encodable {
        let segment: Int
        let bytes: Int
        /// Loaded bytes of the segment.
        let loadedBytes: Int

        private enum CodingKeys: String, CodingKey {
            case segment, bytes
            case loadedBytes = "loaded_bytes"
        }
    }

    struct Totals: Encodable {
        var segments = 0
        var bytes = 0
    }

    struct DeadLetterTotals: Encodable {
        var files = 0
        var lines = 0
    }

    let spool: String
    let path: String
    /// Process that holds the receiver's lock, or nil if none does.
    let receiver: String?
    let loader: String?
    private(set) var pending = Totals()
    private(set) var loaded = Totals()
    /// Bytes of pending segments that are not loaded yet.
    private(set) var backlogBytes = 0
    /// The oldest pending segments, at most a hundred.
    private(set) var pendingSegments: [Pending] = []
    /// Age of the oldest record that is not loaded, or nil if there is none.
    private(set) var oldestUnloadedSeconds: Double?
    private(set) var deadLetters = DeadLetterTotals()
    /// When the loader last made progress, ISO 8601.
    let lastLoad: String?
    /// When the loader last drained the whole spool without a problem, ISO 8601.
    let lastDrain: String?
    /// The problem with the database, or nil if it returned the progress and has the table. If it did not return the
    /// progress, the spool's load mark is used instead.
    let databaseProblem: String?

    private static let listed = 100

    private enum CodingKeys: String, CodingKey {
        case spool, path, receiver, loader, pending, loaded
        case backlogBytes = "backlog_bytes"
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
            let problem = "reachable, but table \(database.table.quoted) is not there; run 'shelly-loader migrate'"
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
        for segment in try directory.segments() {
            let bytes = FileLength.of(segment.path) ?? 0
            if segment.isLoaded {
                loaded.segments += 1
                loaded.bytes += bytes
                continue
            }
            let known = progress.map { Self.loadedBytes(of: segment, in: directory, $0) } ?? mark?.bytes(of: segment)
            try add(segment, bytes: bytes, loadedBytes: min(known ?? 0, bytes))
        }
        let letters = DeadLetters(directory: directory)
        deadLetters.files = try letters.files().count
        try letters.forEachLine { _ in deadLetters.lines += 1 }
    }

    private mutating func add(_ segment: SpoolDirectory.Segment, bytes: Int, loadedBytes: Int) throws {
        pending.segments += 1
        pending.bytes += bytes
        backlogBytes += bytes - loadedBytes
        if pendingSegments.count < Self.listed {
            pendingSegments.append(Pending(segment: segment.number, bytes: bytes, loadedBytes: loadedBytes))
        }
        guard oldestUnloadedSeconds == nil, loadedBytes < bytes else { return }
        guard let file = try? SystemDisk().open(segment.path) else { return }
        let reader = try SegmentReader(file, path: segment.path, from: loadedBytes)
        while let event = try reader.next() {
            guard case .record(let record) = event else { continue }
            oldestUnloadedSeconds = Double(max(0, Moment.now - record.receivedAt)) / 1000
            return
        }
    }

    private static func loadedBytes(
        of segment: SpoolDirectory.Segment, in directory: SpoolDirectory, _ progress: [Progress.Key: Progress]
    ) -> Int {
        guard let file = try? directory.disk.open(segment.path),
            let beginning = try? SegmentBeginning(of: file, at: segment.path)
        else { return 0 }
        return progress[Progress.Key(segment: segment.number, created: beginning.header?.created ?? "")]?.bytes ?? 0
    }
}

extension LoadMark {
    /// Loaded bytes of a segment according to the mark.
    fileprivate func bytes(of segment: SpoolDirectory.Segment) -> Int {
        if segment.number < self.segment { return .max }
        return segment.number == self.segment ? bytes : 0
    }
}
