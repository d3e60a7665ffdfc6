internal import SystemPackage
internal import Time

/// When the loader last drained the whole spool without a problem, stored in the spool as `drained.json`.
///
/// The loader also updates it when there was nothing to load. An idle loader can thus be told from one that is not
/// running. It is for display only, like `LoadMark`.
public struct DrainMark: Codable, Sendable, Equatable {
    /// ISO 8601 in UTC.
    public let drainedAt: String

    /// `drainedAt` in Unix milliseconds.
    public var drainedAtMilliseconds: Int64? { Timestamp(iso8601: drainedAt)?.unixMilliseconds }

    private enum CodingKeys: String, CodingKey {
        case drainedAt = "drained_at"
    }

    /// Creates a mark of the present moment.
    public init() { drainedAt = Timestamp.now.iso8601 }
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
