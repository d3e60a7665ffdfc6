internal import SystemPackage
public import Time

/// When the loader last drained the whole spool without a problem, stored in the spool as `drained.json`.
///
/// The loader also updates it when there was nothing to load. An idle loader can thus be told from one that is not
/// running. `drainedAt` is for display only, like `LoadMark`.
public struct DrainMark: Codable, Sendable, Equatable {
    public let drainedAt: Timestamp
    /// The segments that the next drain need not open, nil if they are unknown.
    public let settled: Settled?

    /// The loaded segments that the database had the whole of, and the conditions under which it has them still.
    public struct Settled: Codable, Sendable, Equatable {
        public let segments: SegmentNumbers
        /// The state of the progress in the database.
        public let progress: String
        /// The newest segment and the retention, by which expired segments were removed.
        public let newest: Int
        public let retention: String

        public init(segments: SegmentNumbers, progress: String, newest: Int, retention: String) {
            self.segments = segments
            self.progress = progress
            self.newest = newest
            self.retention = retention
        }
    }

    private enum CodingKeys: String, CodingKey {
        case settled
        case drainedAt = "drained_at"
    }

    /// Creates a mark of the present moment.
    public init(settled: Settled? = nil) {
        drainedAt = .now
        self.settled = settled
    }
}

extension SpoolDirectory {
    private var drainMarkPath: FilePath { path.appending("drained.json") }

    /// The mark, or nil if it is missing or cannot be read.
    public func drainMark() -> DrainMark? { mark(DrainMark.self, at: drainMarkPath) }

    /// Replaces the mark, without fsync: the loader rewrites a mark that was lost in a power failure.
    public func write(_ mark: DrainMark) throws(SpoolError) {
        try write(mark, to: drainMarkPath, durably: false)
    }
}
