internal import CSimdjson

/// A JSON parser with one owner at a time. A document is valid until the next parse, and no longer than its text.
///
/// It is unsafe because tokens are in C++'s memory, and names and strings are in the caller's memory. Only this file
/// accesses them, and every token that it follows belongs to a document that was validated as a whole.
final class JSONParser {
    static let padding = shelly_json_padding

    enum Failure: Error {
        case invalid, memory
    }

    private var handle: OpaquePointer
    private let maximumDepth: Int

    init(maximumDepth: Int) {
        self.maximumDepth = maximumDepth
        handle = Self.create(maximumDepth)
    }

    deinit { shelly_json_parser_destroy(handle) }

    /// Parses a document, after which `padding` more bytes must be readable.
    func parse(_ text: UnsafeRawBufferPointer) throws(Failure) -> JSONValue {
        guard let bytes = text.baseAddress?.assumingMemoryBound(to: UInt8.self), !text.isEmpty else { throw .invalid }
        var document: UnsafePointer<shelly_json_document>?
        let status = shelly_json_parse(handle, bytes, text.count, &document)
        guard let document else { throw status == SHELLY_JSON_MEMORY ? .memory : .invalid }
        return JSONValue(document: document, token: 0)
    }

    /// Frees the buffers if a rare large document made them grow beyond `bytes`.
    func shrink(to bytes: Int) {
        guard shelly_json_parser_capacity(handle) > bytes else { return }
        shelly_json_parser_destroy(handle)
        handle = Self.create(maximumDepth)
    }

    private static func create(_ maximumDepth: Int) -> OpaquePointer {
        guard let handle = shelly_json_parser_create(maximumDepth) else { fatalError("out of memory for a parser") }
        return handle
    }
}

/// A value of a document, identified by its first token.
struct JSONValue {
    fileprivate let document: UnsafePointer<shelly_json_document>
    fileprivate let token: Int

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
