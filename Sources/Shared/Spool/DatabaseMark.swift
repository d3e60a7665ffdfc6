internal import SystemPackage
public import Time

/// When the loader last used the database and how far it had read, stored in the spool as `database.json`.
///
/// It is written only while `DATABASE_SLEEP_SECONDS` lets the database sleep. Like the other marks it is a hint: a loader
/// that believes a wrong one connects too early or, within a bounded time, too late.
public struct DatabaseMark: Codable, Sendable, Equatable {
    public let usedAt: Timestamp
    /// The pending segment that was read up to `bytes`, nil if there was none.
    public let segment: Int?
    public let bytes: Int?

    private enum CodingKeys: String, CodingKey {
        case segment, bytes
        case usedAt = "used_at"
    }

    /// Creates a mark of the present moment.
    public init(segment: Int?, bytes: Int?) {
        usedAt = .now
        self.segment = segment
        self.bytes = bytes
    }

    /// Whether the spool has no pending bytes that were not read then.
    public func coversAll(of directory: SpoolDirectory) throws(SpoolError) -> Bool {
        let pending = try directory.segments().filter { !$0.isLoaded }
        guard let live = pending.first else { return true }
        return pending.count == 1 && live.number == segment && (try? directory.disk.size(of: live.path)) == bytes
    }
}

extension SpoolDirectory {
    private var databaseMarkPath: FilePath { path.appending("database.json") }

    /// The mark, or nil if it is missing or cannot be read.
    public func databaseMark() -> DatabaseMark? { mark(DatabaseMark.self, at: databaseMarkPath) }

    /// Replaces the mark, without fsync: without it, the loader uses the database.
    public func write(_ mark: DatabaseMark) throws(SpoolError) {
        try write(mark, to: databaseMarkPath, durably: false)
    }
}
