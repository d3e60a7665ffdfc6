import NIOHTTP1

extension HTTPHeaders {
    /// A field's value; several fields of the same name are joined. nil when there is none.
    func text(_ name: String) -> String? {
        let values = self[name]
        guard values.count > 1 else { return values.first?.withoutOuterSpace }
        return values.map(\.withoutOuterSpace).joined(separator: ", ")
    }

    /// The announced length of the body, `Int.max` if it is larger; nil when none is announced.
    var contentLength: Int? { first(name: "Content-Length").map { Int($0.withoutOuterSpace) ?? .max } }
}

extension String {
    /// Without the spaces and tabs around it, which are no part of a field's value (RFC 9110, 5.5).
    var withoutOuterSpace: String {
        let isSpace = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        guard let first = utf8.first, let last = utf8.last, isSpace(first) || isSpace(last) else { return self }
        var value = self[...]
        while let first = value.utf8.first, isSpace(first) { value = value.dropFirst() }
        while let last = value.utf8.last, isSpace(last) { value = value.dropLast() }
        return String(value)
    }
}
