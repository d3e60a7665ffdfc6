internal import SystemPackage
public import Time

/// The loaded segments that are too short to be compressed, stored in the spool as `plain.json`.
///
/// A drain need not examine these files again. Like the other marks it is a hint: without it, all of them are examined.
public struct PlainMark: Codable, Sendable, Equatable {
    public let segments: SegmentNumbers
    /// A time before which none of the segments was examined.
    public let examinedAt: Timestamp

    private enum CodingKeys: String, CodingKey {
        case segments
        case examinedAt = "examined_at"
    }

    public init(segments: SegmentNumbers, examinedAt: Timestamp) {
        self.segments = segments
        self.examinedAt = examinedAt
    }
}

extension SpoolDirectory {
    private var plainMarkPath: FilePath { path.appending("plain.json") }

    /// The mark, or nil if it is missing or cannot be read.
    public func plainMark() -> PlainMark? { mark(PlainMark.self, at: plainMarkPath) }

    /// Replaces the mark, without fsync: segments that it does not name are examined.
    public func write(_ mark: PlainMark) throws(SpoolError) {
        try write(mark, to: plainMarkPath, durably: false)
    }
}
