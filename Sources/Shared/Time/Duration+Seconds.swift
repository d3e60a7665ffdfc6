extension Duration {
    /// The duration in seconds, with microsecond precision.
    public var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds / 1_000_000_000_000) / 1e6
    }
}
