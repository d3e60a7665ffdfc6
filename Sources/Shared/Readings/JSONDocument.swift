internal import CSimdjson

/// simdjson's parser, used by one owner at a time; a document lives until the next parse.
///
/// Unsafe because the tape is C++'s memory: this file alone touches it, and every index it follows was written by
/// simdjson for a document that passed its full validation.
final class JSONParser {
    static let padding = shelly_json_padding

    enum Failure: Error {
        case syntax, depth, number, string, utf8, memory
    }

    private var handle: OpaquePointer
    private let maximumDepth: Int

    init(maximumDepth: Int) {
        self.maximumDepth = maximumDepth
        handle = Self.create(maximumDepth)
    }

    deinit { shelly_json_parser_destroy(handle) }

    /// Parses a document behind which `padding` more bytes are readable.
    func parse(_ document: UnsafeRawBufferPointer) throws(Failure) -> JSONValue {
        var result = shelly_json_tape()
        let bytes = document.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let bytes, !document.isEmpty else { throw .syntax }
        switch shelly_json_parse(handle, bytes, document.count, &result) {
        case SHELLY_JSON_OK: break
        case SHELLY_JSON_DEPTH: throw .depth
        case SHELLY_JSON_NUMBER: throw .number
        case SHELLY_JSON_STRING: throw .string
        case SHELLY_JSON_UTF8: throw .utf8
        case SHELLY_JSON_MEMORY: throw .memory
        default: throw .syntax
        }
        // Word 0 is the root marker, the document's value follows it.
        return JSONValue(tape: result.tape, strings: result.strings, index: 1)
    }

    /// Gives the buffers back when a rare large document made them grow past `bytes`.
    func shrink(to bytes: Int) {
        guard shelly_json_parser_capacity(handle) > bytes else { return }
        shelly_json_parser_destroy(handle)
        handle = Self.create(maximumDepth)
    }

    private static func create(_ maximumDepth: Int) -> OpaquePointer {
        // simdjson refuses the depth that it is given, so the deepest that is allowed is one less.
        guard let handle = shelly_json_parser_create(maximumDepth + 1) else { fatalError("out of memory for a parser") }
        return handle
    }
}

/// A value on simdjson's tape: its type in the top byte of a word, its payload below (simdjson `doc/tape.md`).
struct JSONValue {
    fileprivate let tape: UnsafePointer<UInt64>
    fileprivate let strings: UnsafePointer<UInt8>
    fileprivate let index: Int

    private var tag: UInt8 { UInt8(truncatingIfNeeded: tape[index] >> 56) }
    private var payload: Int { Int(tape[index] & 0x00FF_FFFF_FFFF_FFFF) }

    var isObject: Bool { tag == UInt8(ascii: "{") }
    var isArray: Bool { tag == UInt8(ascii: "[") }
    var isNull: Bool { tag == UInt8(ascii: "n") }

    /// The unescaped UTF-8 bytes of a string.
    var string: UnsafeRawBufferPointer? {
        guard tag == UInt8(ascii: "\"") else { return nil }
        return Self.bytes(strings, payload)
    }

    /// A number of any kind as a double.
    var number: Double? {
        switch tag {
        case UInt8(ascii: "d"): Double(bitPattern: tape[index + 1])
        case UInt8(ascii: "l"): Double(Int64(bitPattern: tape[index + 1]))
        case UInt8(ascii: "u"): Double(tape[index + 1])
        default: nil
        }
    }

    /// How many elements an array has, counted at most to `limit`.
    func elementCount(upTo limit: Int) -> Int {
        var count = 0
        var position = index + 1
        let end = containerEnd
        while position < end, count < limit {
            position = next(position)
            count += 1
        }
        return count
    }

    /// Visits an array's elements in order.
    func forEachElement(_ body: (JSONValue) -> Void) {
        var position = index + 1
        let end = containerEnd
        while position < end {
            body(at(position))
            position = next(position)
        }
    }

    /// Visits an object's members in order, a duplicate name each time it comes.
    func forEachMember(_ body: (_ name: UnsafeRawBufferPointer, _ value: JSONValue) -> Void) {
        var position = index + 1
        let end = containerEnd
        while position < end {
            let name = Self.bytes(strings, Int(tape[position] & 0x00FF_FFFF_FFFF_FFFF))
            body(name, at(position + 1))
            position = next(position + 1)
        }
    }

    /// The JSON text of the value, written anew from the tape; equal to what came in, though not byte for byte.
    func appendText(to out: inout String) {
        switch tag {
        case UInt8(ascii: "{"):
            out += "{"
            var first = true
            forEachMember { name, value in
                if !first { out += "," }
                first = false
                Self.appendQuoted(name, to: &out)
                out += ":"
                value.appendText(to: &out)
            }
            out += "}"
        case UInt8(ascii: "["):
            out += "["
            var first = true
            forEachElement { value in
                if !first { out += "," }
                first = false
                value.appendText(to: &out)
            }
            out += "]"
        case UInt8(ascii: "\""): Self.appendQuoted(Self.bytes(strings, payload), to: &out)
        case UInt8(ascii: "d"): out += "\(Double(bitPattern: tape[index + 1]))"
        case UInt8(ascii: "l"): out += "\(Int64(bitPattern: tape[index + 1]))"
        case UInt8(ascii: "u"): out += "\(tape[index + 1])"
        case UInt8(ascii: "t"): out += "true"
        case UInt8(ascii: "f"): out += "false"
        default: out += "null"
        }
    }

    // A container's payload holds the index past its closing word in the low 32 bits, an element count above them.
    private var containerEnd: Int { Int(tape[index] & 0xFFFF_FFFF) - 1 }

    private func at(_ position: Int) -> JSONValue { JSONValue(tape: tape, strings: strings, index: position) }

    private func next(_ position: Int) -> Int {
        switch UInt8(truncatingIfNeeded: tape[position] >> 56) {
        case UInt8(ascii: "{"), UInt8(ascii: "["): Int(tape[position] & 0xFFFF_FFFF)
        case UInt8(ascii: "d"), UInt8(ascii: "l"), UInt8(ascii: "u"): position + 2
        default: position + 1
        }
    }

    private static func bytes(_ strings: UnsafePointer<UInt8>, _ offset: Int) -> UnsafeRawBufferPointer {
        let start = UnsafeRawPointer(strings + offset)
        return UnsafeRawBufferPointer(start: start + 4, count: Int(start.loadUnaligned(as: UInt32.self)))
    }

    private static func appendQuoted(_ bytes: UnsafeRawBufferPointer, to out: inout String) {
        out += "\""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        out += "\""
    }
}
