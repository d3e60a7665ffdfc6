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
