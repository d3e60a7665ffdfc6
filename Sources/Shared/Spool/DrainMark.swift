internal import SystemPackage

/// When the loader last went through the whole spool without a problem, left in the spool as `drained.json`.
///
/// It moves when there was nothing to load as well, so it tells a loader that is idle from one that is not there.
/// For display alone, like `LoadMark`.
public struct DrainMark: Codable, Sendable, Equatable {
    /// ISO 8601 in UTC.
    public let drainedAt: String

    /// As `drainedAt`, Unix milliseconds.
    public var drainedAtMilliseconds: Int64? { SegmentFormat.unixMilliseconds(drainedAt) }

    private enum CodingKeys: String, CodingKey {
        case drainedAt = "drained_at"
    }

    /// A mark of the present moment.
    public init() { drainedAt = SegmentFormat.timestamp() }
}

extension SpoolDirectory {
    private var drainMarkPath: FilePath { path.appending("drained.json") }

    /// The mark, nil when there is none or it cannot be read.
    public func drainMark() -> DrainMark? { mark(DrainMark.self, at: drainMarkPath) }

    /// Replaces the mark. Not synchronized: one that a power cut takes away is written anew.
    public func write(_ mark: DrainMark) throws(SpoolError) {
        try write(mark, to: drainMarkPath, durably: false)
    }
}
