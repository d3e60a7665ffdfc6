/// Formats figures for people.
enum Figures {
    /// `1,234`.
    static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude)
        var groups: [Substring] = []
        while digits.utf8.count > 3 {
            groups.insert(digits.suffix(3), at: 0)
            digits.removeLast(3)
        }
        groups.insert(digits[...], at: 0)
        return (number < 0 ? "-" : "") + groups.joined(separator: ",")
    }

    /// `1 record`, `1,234 records`.
    static func count(_ number: Int, _ noun: String) -> String {
        "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
    }

    /// `8.9 W`, `1.23 kW`.
    static func watts(_ watts: Double) -> String {
        switch watts.magnitude {
        case ..<999.95: fixed(watts, 1) + " W"
        case ..<999_995: fixed(watts / 1e3, 2) + " kW"
        case ..<1e12: fixed(watts / 1e6, 2) + " MW"
        default: "\(watts) W"
        }
    }

    /// `0.9 ms`, `1.20 s`.
    static func duration(seconds: Double) -> String {
        seconds < 0.9995 ? fixed(seconds * 1000, seconds < 0.1 ? 1 : 0) + " ms" : fixed(seconds, 2) + " s"
    }

    /// A number with `decimals` decimals.
    static func fixed(_ number: Double, _ decimals: Int) -> String {
        let scale = (0..<decimals).reduce(1) { scale, _ in scale * 10 }
        let scaled = (number * Double(scale)).rounded()
        guard scaled.magnitude < 1e15 else { return "\(number)" }
        let whole = Int(scaled)
        let digits = String(whole.magnitude)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.utf8.count)) + digits
        return (whole < 0 ? "-" : "") + padded.dropLast(decimals)
            + (decimals == 0 ? "" : "." + padded.suffix(decimals))
    }
}
