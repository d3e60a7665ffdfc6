/// Readings of each minute of the last 24 hours, as the ledger counts them: by the reading's own minute, each key once.
struct ReadingHistory: Sendable, Equatable {
    /// The minutes, since 1970; the last one is the present, which is not over yet.
    let minutes: Range<Int64>
    /// Readings by minute, the oldest first: 1440.
    let counts: [Int]
}
