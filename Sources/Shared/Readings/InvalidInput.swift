/// One problem in a body, in FastAPI's format: type, location and message.
///
/// It contains no text from the client, so it can be returned and logged as it is.
public struct InvalidInput: Error, Sendable, Equatable {
    /// A step in the path to the location: a member's name or an index.
    public enum Step: Sendable, Equatable {
        case member(String)
        case index(Int)
    }

    /// Machine-readable type, pydantic's where it has one: `missing`, `string_type`, `value_error`, `json_invalid`, …
    public let type: String
    public let location: [Step]
    public let message: String

    public init(_ type: String, at location: [Step], _ message: String) {
        self.type = type
        self.location = location
        self.message = message
    }

    /// The message, which names its field.
    var sentence: String {
        // The messages of a value error name their object themselves.
        guard type != "value_error", case .member(let field) = location.last else { return message }
        return "\(field): \(message)"
    }
}
