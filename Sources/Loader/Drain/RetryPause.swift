/// The pauses between attempts while the database refuses or does not answer: each twice as long as the one before, up to
/// two seconds.
///
/// They do not depend on the pause between two passes, which may be an hour: a database that is back is found within two
/// seconds. An attempt that fails is cheap, for the loader and for the server, unless the table is at fault.
struct RetryPause {
    private static let shortest = Duration.seconds(1)
    private static let longest = Duration.seconds(2)

    private let first: Duration
    /// The pause before the next attempt.
    private(set) var duration: Duration

    /// - Parameter followPause: the pause between two passes; a shorter one than a second is the first pause here too.
    init(followPause: Duration) {
        first = min(followPause, Self.shortest)
        duration = first
    }

    /// After a pause and another failure.
    mutating func lengthen() { duration = min(duration * 2, Self.longest) }

    /// After a success.
    mutating func reset() { duration = first }
}
