/// The number of readings in each minute of the last 24 hours, as the ledger counts them.
///
/// A reading counts in its own minute, and each key counts once.
struct ReadingHistory: Sendable, Equatable {
    /// The minutes, since 1970; the last one is the present minute, which is not over yet.
    let minutes: Range<Int64>
    /// The number of readings by minute, the oldest first: 1440.
    let counts: [Int]
}
