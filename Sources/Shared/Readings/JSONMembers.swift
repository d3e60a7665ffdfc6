/// Reads single members of JSON objects, such as the lines of a file of dead letters.
///
/// Used by one owner at a time; what it returns is valid for good.
public final class JSONMembers {
    private let parser = JSONParser(maximumDepth: BatchDecoder.maximumDepth + 8)
    private var members: [(name: String, value: JSONValue)] = []

    public init() {}

    /// Takes an object's text; false when it is none.
    public func read(_ text: [UInt8]) -> Bool {
        members = []
        let padded = text + [UInt8](repeating: 0, count: JSONParser.padding)
        return padded.withUnsafeBytes { bytes in
            guard let root = try? parser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<text.count])), root.isObject
            else { return false }
            root.forEachMember { members.append((String(decoding: $0, as: UTF8.self), $1)) }
            return true
        }
    }

    /// The JSON text of a member, nil when there is none of that name; of several the last.
    public func text(of name: String) -> String? {
        value(name).map { value in
            var text = ""
            value.appendText(to: &text)
            return text
        }
    }

    /// The bytes of a member that is a string.
    public func string(of name: String) -> [UInt8]? { value(name)?.string.map { [UInt8]($0) } }

    /// A member that is a whole number.
    public func integer(of name: String) -> Int64? { value(name)?.number.flatMap { Int64(exactly: $0) } }

    private func value(_ name: String) -> JSONValue? { members.last { $0.name == name }?.value }
}
