extension Int {
    /// The number with its noun: `1 segment`, `2 segments`.
    func counted(_ noun: String) -> String { "\(self) \(noun)\(self == 1 ? "" : "s")" }
}
