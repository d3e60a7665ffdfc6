import Time

/// The last acknowledged batches, at most `limit` of them.
struct RecentBatches: Sendable {
    struct Entry: Sendable, Equatable {
        let receivedAt: Timestamp
        let messages: Int
        /// Readings by their outcome.
        let inserted: Int
        let duplicates: Int
        let errors: Int
        /// Seconds from the header to the acknowledgement.
        let seconds: Double
    }

    static let limit = 20

    private var ring: [Entry] = []
    private var oldest = 0

    /// Adds a batch; when the ring is full, it replaces the oldest one.
    mutating func append(_ entry: Entry) {
        guard ring.count == Self.limit else { return ring.append(entry) }
        ring[oldest] = entry
        oldest = (oldest + 1) % Self.limit
    }

    /// The newest first.
    var newestFirst: [Entry] { (ring[oldest...] + ring[..<oldest]).reversed() }
}
