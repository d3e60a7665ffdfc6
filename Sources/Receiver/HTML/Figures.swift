import FoundationEssentials

/// Formats figures for people. Times are UTC.
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

    /// `12 s`, `4 min`, `3 h 5 min`, `2 d 3 h`; a time in the future is `0 s`.
    static func span(seconds: Int64) -> String {
        let seconds = max(0, seconds)
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400)
        return switch seconds {
        case ..<60: "\(seconds) s"
        case ..<3600: "\(minutes) min"
        case ..<172_800: "\(hours) h" + (minutes % 60 == 0 ? "" : " \(minutes % 60) min")
        default: "\(days) d" + (hours % 24 == 0 ? "" : " \(hours % 24) h")
        }
    }

    /// `512 B`, `1.5 MiB`.
    static func bytes(_ bytes: Int) -> String {
        var value = Double(bytes)
        var units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][...]
        while value >= 1024, units.count > 1 {
            value /= 1024
            units.removeFirst()
        }
        return fixed(value, units.first == "B" || value >= 100 ? 0 : 1) + " " + (units.first ?? "")
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

    /// `09:05`.
    static func clock(minute: Int64) -> String { "\(two(minute / 60 % 24)):\(two(minute % 60))" }

    /// `2026-11-25 09:05:12`.
    static func moment(milliseconds: Int64) -> String {
        let seconds = milliseconds / 1000
        return "\(day(seconds / 86400)) \(clock(minute: seconds / 60)):\(two(seconds % 60))"
    }

    /// `2026-11-25 09:05`.
    static func moment(minute: Int64) -> String { "\(day(minute / 1440)) \(clock(minute: minute))" }

    /// `2026-11-25`, from days since 1970.
    static func day(_ day: Int64) -> String {
        Date(timeIntervalSince1970: Double(day) * 86400).formatted(Date.ISO8601FormatStyle().year().month().day())
    }

    /// `25 Nov`, from days since 1970.
    static func shortDay(_ day: Int64) -> String {
        let parts = Self.day(day).split(separator: "-").compactMap { Int($0) }
        return parts.count == 3 ? "\(parts[2]) \(months[parts[1] - 1])" : Self.day(day)
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
