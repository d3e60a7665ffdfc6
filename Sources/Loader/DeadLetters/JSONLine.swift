/// One JSON object on its own line, written member by member.
struct JSONLine {
    private(set) var bytes: [UInt8] = [UInt8(ascii: "{")]

    mutating func add(_ name: StaticString, text: some Sequence<UInt8>) {
        begin(name)
        appendQuoted(text)
    }

    mutating func add(_ name: StaticString, text: String) { add(name, text: text.utf8) }

    mutating func add(_ name: StaticString, number: some BinaryInteger) {
        begin(name)
        bytes.append(contentsOf: String(number).utf8)
    }

    /// Adds a finite number or null. Swift prints a double so that parsing the text gives the same value.
    mutating func add(_ name: StaticString, number: Double?) {
        begin(name)
        bytes.append(contentsOf: (number.map { "\($0)" } ?? "null").utf8)
    }

    /// Adds a value that is JSON already.
    mutating func add(_ name: StaticString, json: some Sequence<UInt8>) {
        begin(name)
        bytes.append(contentsOf: json)
    }

    /// The object's bytes, including the line break.
    consuming func finished() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    private mutating func begin(_ name: StaticString) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        name.withUTF8Buffer { appendQuoted($0) }
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func appendQuoted(_ text: some Sequence<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20, 0x7F:
                bytes.append(contentsOf: (byte < 0x10 ? "\\u000" : "\\u00").utf8)
                bytes.append(contentsOf: String(byte, radix: 16).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
