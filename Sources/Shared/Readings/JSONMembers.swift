/// Reads single members of JSON objects, such as the lines of a dead letter file.
///
/// It has one owner at a time. The results stay valid.
public final class JSONMembers {
    private struct Member {
        let name: String
        /// The value's range in the object's text.
        let range: Range<Int>
        let string: [UInt8]?
        let number: Double?
    }

    private let parser = JSONParser(maximumDepth: BatchDecoder.maximumDepth + 8)
    private var text: [UInt8] = []
    private var members: [Member] = []

    public init() {}

    /// Parses an object's text. Returns false if the text is not an object.
    public func read(_ text: [UInt8]) -> Bool {
        members = []
        self.text = text + [UInt8](repeating: 0, count: JSONParser.padding)
        return self.text.withUnsafeBytes { bytes in
            guard let root = try? parser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<text.count])), root.isObject
            else { return false }
            root.forEachMember { name, value in
                members.append(
                    Member(
                        name: String(decoding: name, as: UTF8.self), range: value.range,
                        string: value.string.map { [UInt8]($0) }, number: value.number))
            }
            return true
        }
    }

    /// The JSON text of a member, or nil if there is none of that name. Of several, the last is returned.
    public func text(of name: String) -> String? {
        member(name).map { String(decoding: text[$0.range], as: UTF8.self) }
    }

    /// The bytes of a member if it is a string.
    public func string(of name: String) -> [UInt8]? { member(name)?.string }

    /// The value of a member if it is a whole number.
    public func integer(of name: String) -> Int64? { member(name)?.number.flatMap { Int64(exactly: $0) } }

    private func member(_ name: String) -> Member? { members.last { $0.name == name } }
}
