/// The value axis of a plot: from zero or below to at least the highest value, with round numbers at its ticks.
struct PlotScale: Sendable {
    let lowest: Double
    let highest: Double
    let step: Double

    /// Values beyond this are drawn at the edge: no plug has a terawatt, but a message may claim so.
    private static let bound = 1e12

    /// - Parameter isWhole: whether the values are counts.
    init(_ values: [Double], isWhole: Bool = false) {
        let bounded = values.map(Self.bounded)
        let low = min(0, bounded.min() ?? 0)
        let high = max(0, bounded.max() ?? 0)
        // An axis of zeros has whole numbers too.
        let span = max(high - low, isWhole || low == high ? 4 : 1e-2)
        var decade = 1e-3
        while decade * 10 <= span / 4 { decade *= 10 }
        step = [1, 2, 5].map { $0 * decade }.first { $0 * 4 >= span } ?? 10 * decade
        lowest = (low / step).rounded(.down) * step
        // A plot of zeros needs an axis too.
        highest = max((high / step).rounded(.up) * step, lowest + step)
    }

    var ticks: [Double] {
        let first = Int((lowest / step).rounded())
        let last = Int((highest / step).rounded())
        return (first...last).map { Double($0) * step }
    }

    /// The position of a value between the lowest (0) and the highest (1).
    func share(_ value: Double) -> Double {
        min(1, max(0, (Self.bounded(value) - lowest) / (highest - lowest)))
    }

    func label(_ tick: Double) -> String {
        let (unit, divisor) =
            switch max(highest, -lowest) {
            case ..<10_000: ("", 1.0)
            case ..<10_000_000: ("k", 1e3)
            case ..<10_000_000_000: ("M", 1e6)
            default: ("G", 1e9)
            }
        let decimals = step / divisor >= 0.999 ? 0 : step / divisor >= 0.0999 ? 1 : step / divisor >= 0.00999 ? 2 : 3
        return
            (decimals == 0 ? Figures.grouped(Int((tick / divisor).rounded())) : Figures.fixed(tick / divisor, decimals))
            + unit
    }

    private static func bounded(_ value: Double) -> Double { min(bound, max(-bound, value)) }
}
