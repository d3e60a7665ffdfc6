/// The last batches that were acknowledged, so many at most.
struct RecentBatches: Sendable {
    struct Entry: Sendable, Equatable {
        /// Unix milliseconds.
        let receivedAt: Int64
        let messages: Int
        /// Readings by what became of them.
        let inserted: Int
        let duplicates: Int
        let errors: Int
        /// From the header to the acknowledgement.
        let seconds: Double
    }

    static let limit = 20

    private var ring: [Entry] = []
    private var oldest = 0

    /// Takes the place of the oldest one when there is no other.
    mutating func note(_ entry: Entry) {
        guard ring.count == Self.limit else { return ring.append(entry) }
        ring[oldest] = entry
        oldest = (oldest + 1) % Self.limit
    }

    /// The newest first.
    var newestFirst: [Entry] { (ring[oldest...] + ring[..<oldest]).reversed() }
}
