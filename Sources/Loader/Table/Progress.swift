/// How far a segment is loaded, with counts of its readings by result.
struct Progress: Equatable, Sendable {
    /// All bytes before this offset are loaded.
    var bytes = 0
    var records = 0
    /// Always inserted + duplicates + rejected (invariant 8).
    var readings = 0
    var inserted = 0
    var duplicates = 0
    /// Duplicates with other values than the first reading with the same key.
    var conflicts = 0
    /// Readings that are in `rejected/` with their reason.
    var rejected = 0
    /// Whether the segment will not grow any more.
    var finished = false

    /// A segment. `created` distinguishes two segments that got the same number by accident. It is empty if the header
    /// cannot be read.
    struct Key: Hashable, Sendable {
        let segment: Int
        let created: String
    }
}
