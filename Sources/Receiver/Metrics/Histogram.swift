/// How often which values came, in buckets.
struct Histogram: Sendable, Equatable {
    /// Each bucket's highest value, rising; one more bucket takes what is above all of them.
    let bounds: [Double]
    /// How many values each bucket took for itself.
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
