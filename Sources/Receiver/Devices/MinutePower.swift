/// Watts in one minute.
struct MinutePower: Sendable, Equatable {
    /// Minutes since 1970.
    let minute: Int64
    let watts: Double
}
