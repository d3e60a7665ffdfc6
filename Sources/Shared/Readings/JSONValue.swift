internal import CSimdjson

/// A value of a document, identified by its first token. It is valid as long as its document.
///
/// It is unsafe because tokens are in C++'s memory, and names and strings are in the caller's memory. Only this file
/// accesses them, and every token that it follows belongs to a document that was validated as a whole.
struct JSONValue {
    private let document: UnsafePointer<shelly_json_document>
    private let token: Int

    init(rootOf document: UnsafePointer<shelly_json_document>) { self.init(document: document, token: 0) }

    private init(document: UnsafePointer<shelly_json_document>, token: Int) {
        self.document = document
        self.token = token
    }

    private var first: UInt8 { document.pointee.text[offset(of: token)] }

    var isObject: Bool { first == UInt8(ascii: "{") }
    var isArray: Bool { first == UInt8(ascii: "[") }
    var isNull: Bool { first == UInt8(ascii: "n") }

    /// The unescaped UTF-8 bytes of a string.
    var string: UnsafeRawBufferPointer? { first == UInt8(ascii: "\"") ? string(at: token) : nil }

    /// Any kind of number as a double.
    var number: Double? {
        switch first {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            shelly_json_number(document, token)
        default: nil
        }
    }

    /// The value's byte range in the text.
    var range: Range<Int> {
        let start = offset(of: token)
        // A value is followed by a token or by the end of the text, with only white space in between.
        var end = offset(of: next(token))
        while end > start, document.pointee.text[end - 1] <= UInt8(ascii: " ") { end -= 1 }
        return start..<end
    }

    /// The number of elements in an array, counted up to `limit`.
    func elementCount(upTo limit: Int) -> Int {
        var count = 0
        var position = token + 1
        let end = extent
        while position < end, count < limit {
            position = next(position) + 1
            count += 1
        }
        return count
    }

    /// Visits an array's elements in order.
    func forEachElement(_ body: (JSONValue) -> Void) {
        var position = token + 1
        let end = extent
        while position < end {
            body(at(position))
            // After the comma.
            position = next(position) + 1
        }
    }

    /// Visits an object's members in order. A duplicate name is visited each time it occurs.
    func forEachMember(_ body: (_ name: UnsafeRawBufferPointer, _ value: JSONValue) -> Void) {
        var position = token + 1
        let end = extent
        while position < end {
            // A name, a colon, a value, and then a comma.
            body(string(at: position), at(position + 2))
            position = next(position + 2) + 1
        }
    }

    /// The token that closes an object or array.
    private var extent: Int { Int(document.pointee.extents[token]) }

    private func at(_ position: Int) -> JSONValue { JSONValue(document: document, token: position) }

    private func offset(of position: Int) -> Int { Int(document.pointee.tokens[position]) }

    /// The token after the value that begins at `position`.
    private func next(_ position: Int) -> Int {
        switch document.pointee.text[offset(of: position)] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): Int(document.pointee.extents[position]) + 1
        default: position + 1
        }
    }

    private func string(at position: Int) -> UnsafeRawBufferPointer {
        let extent = document.pointee.extents[position]
        if extent & SHELLY_JSON_ESCAPED == 0 {
            return UnsafeRawBufferPointer(start: document.pointee.text + offset(of: position) + 1, count: Int(extent))
        }
        let start = UnsafeRawPointer(document.pointee.strings + Int(extent ^ SHELLY_JSON_ESCAPED))
        return UnsafeRawBufferPointer(start: start + 4, count: Int(start.loadUnaligned(as: UInt32.self)))
    }
}
