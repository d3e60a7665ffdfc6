internal import SystemPackage
public import Time

/// The loader's progress, stored in the spool as `loaded.json` for readers without access to the database.
///
/// It is for display only. The authoritative progress is the one in the database, stored with the rows (invariant 6).
public struct LoadMark: Codable, Sendable, Equatable {
    /// All segments before this one are loaded.
    public let segment: Int
    /// Bytes of this segment that are loaded.
    public let bytes: Int
    /// Records of this segment that are loaded.
    public let records: Int
    /// When the mark was written.
    public let loadedAt: Timestamp

    private enum CodingKeys: String, CodingKey {
        case segment, bytes, records
        case loadedAt = "loaded_at"
    }

    /// Creates a mark of the present moment.
    public init(segment: Int, bytes: Int, records: Int) {
        self.segment = segment
        self.bytes = bytes
        self.records = records
        loadedAt = .now
    }
}

extension SpoolDirectory {
    private var loadMarkPath: FilePath { path.appending("loaded.json") }

    /// The loader's mark, or nil if it is missing or cannot be read.
    public func loadMark() -> LoadMark? { mark(LoadMark.self, at: loadMarkPath) }

    /// Replaces the loader's mark, without fsync: the loader rewrites a mark that was lost in a power failure.
    public func write(_ mark: LoadMark) throws(SpoolError) {
        try write(mark, to: loadMarkPath, durably: false)
    }
}
