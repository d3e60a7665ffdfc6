import Spool

/// The segments whose digests are merged into one file.
struct DigestRange: Hashable, Sendable {
    /// How many ranges, or segments at first, are merged into the next larger one.
    private static let fan = 16
    /// The lengths of ranges, the largest first.
    private static let lengths = [fan * fan, fan]

    let numbers: ClosedRange<Int>

    /// The ranges that begin with a segment, the largest first.
    static func all(from number: Int) -> [DigestRange] {
        lengths.filter { (number - 1) % $0 == 0 }.map { DigestRange(numbers: number...number + $0 - 1) }
    }

    /// The ranges that are merged into this one; nil when they are single segments.
    var parts: [DigestRange]? {
        guard numbers.count > Self.fan else { return nil }
        return stride(from: numbers.lowerBound, through: numbers.upperBound, by: Self.fan).map {
            DigestRange(numbers: $0...$0 + Self.fan - 1)
        }
    }

    var fileName: String {
        SpoolPosition.digits(numbers.lowerBound) + "-" + SpoolPosition.digits(numbers.upperBound) + ".keys"
    }
}
