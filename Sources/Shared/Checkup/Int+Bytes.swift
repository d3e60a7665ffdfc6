extension Int {
    /// The number of bytes as human-readable text: `64.0 MiB`.
    public var inBytes: String {
        var value = Double(self)
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if value < 1024 { return unit == "bytes" ? "\(self) bytes" : "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1024
        }
        return "\((value * 10).rounded() / 10) TiB"
    }
}
