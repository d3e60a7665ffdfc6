// Text: numbers and JSON as text.
// Begin here.
// Uses nothing else.

internal import FoundationEssentials

/// JSON text under construction (RFC 8259). Members stand in the order in which they are added, and commas between them.
public struct JSONText: Sendable {
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    public init() {}

    /// An object with the members that `members` adds.
    public init(_ members: (inout JSONText) -> Void) {
        bytes.reserveCapacity(256)
        appendObject(members)
    }

    /// Encodes a value on one line, with members in alphabetical order. Its numbers must be finite.
    public init(encoding value: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { preconditionFailure("a number is not finite") }
        bytes = [UInt8](data)
    }

    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The bytes and a line break.
    public var line: [UInt8] { bytes + [UInt8(ascii: "\n")] }

    /// Adds a member to an object. Its name is text that needs no escapes, here and below.
    public mutating func add(_ name: StaticString, _ value: some JSONWritable) {
        begin(name)
        value.append(to: &self)
    }

    /// Adds a member whose value is an array: for each of the elements an object with the members that `members` adds.
    public mutating func add<S: Sequence>(
        _ name: StaticString, _ elements: S, _ members: (inout JSONText, S.Element) -> Void
    ) {
        add(name, array: elements) { json, element in json.appendObject { members(&$0, element) } }
    }

    /// Adds a member whose value is an array with the value that `append` appends for each of the elements.
    public mutating func add<S: Sequence>(
        _ name: StaticString, array elements: S, _ append: (inout JSONText, S.Element) -> Void
    ) {
        begin(name)
        appendArray(elements, append)
    }

    /// Adds a member whose value is a string in UTF-8.
    public mutating func add(_ name: StaticString, utf8 text: some Sequence<UInt8>) {
        begin(name)
        append(string: text)
    }

    /// Adds a member whose value is JSON already.
    public mutating func add(_ name: StaticString, json: some Sequence<UInt8>) {
        begin(name)
        append(json: json)
    }

    public mutating func appendObject(_ members: (inout JSONText) -> Void) {
        open(UInt8(ascii: "{"))
        members(&self)
        close(UInt8(ascii: "}"))
    }

    public mutating func appendArray<S: Sequence>(_ elements: S, _ append: (inout JSONText, S.Element) -> Void) {
        open(UInt8(ascii: "["))
        for element in elements { append(&self, element) }
        close(UInt8(ascii: "]"))
    }

    /// Appends a string in UTF-8. Control characters are escaped.
    public mutating func append(string text: some Sequence<UInt8>) {
        comma()
        quote(text)
    }

    /// Appends a value that is JSON already.
    public mutating func append(json: some Sequence<UInt8>) {
        comma()
        bytes.append(contentsOf: json)
    }

    fileprivate mutating func append(_ number: Int) {
        comma()
        bytes.append(decimal: number)
    }

    private mutating func begin(_ name: StaticString) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func open(_ bracket: UInt8) {
        comma()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func comma() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func quote(_ text: some Sequence<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        if !appendPlain(text) { appendEscaped(text) }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends a text that needs no escapes, as is usual, and returns whether it is such a text.
    private mutating func appendPlain(_ text: some Sequence<UInt8>) -> Bool {
        text.withContiguousStorageIfAvailable { text in
            guard
                text.allSatisfy({
                    $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
                })
            else { return false }
            bytes.append(contentsOf: text)
            return true
        } ?? false
    }

    private mutating func appendEscaped(_ text: some Sequence<UInt8>) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20, 0x7F: bytes.append(jsonEscape: UInt16(byte))
            default: bytes.append(byte)
            }
        }
    }
}

extension [UInt8] {
    /// Appends the escape of a UTF-16 code unit: `\u001b`.
    public mutating func append(jsonEscape unit: UInt16) {
        let digits = String(unit, radix: 16)
        append(contentsOf: "\\u".utf8)
        append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
        append(contentsOf: digits.utf8)
    }
}

/// A value that has a form in JSON.
public protocol JSONWritable {
    func append(to json: inout JSONText)
}

extension String: JSONWritable {
    public func append(to json: inout JSONText) { json.append(string: utf8) }
}

extension Int: JSONWritable {
    public func append(to json: inout JSONText) { json.append(self) }
}

extension Int64: JSONWritable {
    public func append(to json: inout JSONText) { json.append(Int(self)) }
}

/// Swift prints a finite number so that parsing the text gives the same number. Others become null.
extension Double: JSONWritable {
    public func append(to json: inout JSONText) { json.append(json: (isFinite ? description : "null").utf8) }
}

extension Bool: JSONWritable {
    public func append(to json: inout JSONText) { json.append(json: (self ? "true" : "false").utf8) }
}

/// nil is null.
extension Optional: JSONWritable where Wrapped: JSONWritable {
    public func append(to json: inout JSONText) {
        if let self { self.append(to: &json) } else { json.append(json: "null".utf8) }
    }
}

extension Array: JSONWritable where Element: JSONWritable {
    public func append(to json: inout JSONText) { json.appendArray(self) { $1.append(to: &$0) } }
}
