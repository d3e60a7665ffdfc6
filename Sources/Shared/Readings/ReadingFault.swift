/// A reading that cannot be stored because one of its values is not a number. The rest of its batch can be stored.
public struct ReadingFault: Sendable, Equatable {
    /// Index of the message in its batch, from 0.
    public let message: Int
    /// Index of the device in `Batch.devices`.
    public let device: Int
    public let component: ReadingRules.Component
    /// Channel of the device, 0 to 3.
    public let channel: Int
    /// Unix seconds, UTC.
    public let timestamp: Int64
    /// The name of the wrong value, such as `apower`.
    public let field: String

    /// One sentence for logs and dead letters. It contains no text from the client.
    public var reason: String { "\(component.rawValue):\(component == .em ? 0 : channel).\(field) is not a number" }
}
