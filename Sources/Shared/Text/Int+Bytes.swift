extension [UInt8] {
    /// Appends a number in decimal.
    public mutating func append(decimal number: Int) {
        if number < 0 { append(UInt8(ascii: "-")) }
        var (digits, rest) = (1, number.magnitude)
        while rest >= 10 { (digits, rest) = (digits + 1, rest / 10) }
        append(contentsOf: repeatElement(UInt8(ascii: "0"), count: digits))
        rest = number.magnitude
        for index in (count - digits..<count).reversed() {
            self[index] += UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}

extension Int {
    /// The number of bytes as people read it: `512 B`, `1.5 MiB`, `500 MiB`.
    public var inBytes: String {
        var value = Double(self)
        var units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"][...]
        while value >= 1024, units.count > 1 {
            value /= 1024
            units.removeFirst()
        }
        let hasDecimal = units.first != "B" && value < 100
        return "\(hasDecimal ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))") \(units.first ?? "")"
    }
}
