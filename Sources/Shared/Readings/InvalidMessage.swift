/// A message that violates the contract, with all of its problems.
public struct InvalidMessage: Sendable, Equatable {
    /// Index in the batch, from 0.
    public let index: Int
    public let problems: [InvalidInput]

    /// All problems in one human-readable line, such as `timestamp: Field required; params: Field required`.
    public var reason: String { problems.map(\.sentence).joined(separator: "; ") }
}
