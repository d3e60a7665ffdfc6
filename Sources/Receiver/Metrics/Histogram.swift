/// Counts values in buckets.
struct Histogram: Sendable, Equatable {
    /// The highest value of each bucket, in rising order; one more bucket takes all values above them.
    let bounds: [Double]
    /// The number of values in each bucket, not cumulative.
    private(set) var counts: [Int]
    private(set) var sum = 0.0

    init(_ bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    mutating func observe(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}
