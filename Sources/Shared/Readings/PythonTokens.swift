/// A body in which some tokens were replaced that Python's `json` module writes and JSON does not have: `NaN`,
/// `Infinity` and `-Infinity`, which become strings of spaces, and a byte-order mark, which becomes spaces.
///
/// Lengths stay, so that each byte keeps its offset.
struct PythonTokens {
    /// Byte ranges of NaN, Infinity and -Infinity.
    private(set) var numbers: [Range<Int>] = []
    /// The replaced body, and the padding behind it.
    private(set) var bytes: [UInt8]

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
    private static let words = ["NaN", "Infinity", "-Infinity"].map { Array($0.utf8) }

    /// nil when the body has none of them.
    init?(in body: UnsafeRawBufferPointer, padding: Int) {
        bytes = Array(body) + [UInt8](repeating: 0, count: padding)
        let hasMark = body.starts(with: Self.byteOrderMark)
        if hasMark { bytes.replaceSubrange(..<3, with: repeatElement(UInt8(ascii: " "), count: 3)) }
        var index = 0
        var isInString = false
        while index < body.count {
            let byte = body[index]
            if isInString {
                if byte == UInt8(ascii: "\\") { index += 1 }
                if byte == UInt8(ascii: "\"") { isInString = false }
            } else if byte == UInt8(ascii: "\"") {
                isInString = true
            } else if byte == UInt8(ascii: "N") || byte == UInt8(ascii: "I") || byte == UInt8(ascii: "-") {
                let rest = UnsafeRawBufferPointer(rebasing: body[index...])
                if let word = Self.words.first(where: { rest.starts(with: $0) }), !isName(rest.dropFirst(word.count)) {
                    replace(index..<index + word.count)
                    index += word.count - 1
                }
            }
            index += 1
        }
        guard hasMark || !numbers.isEmpty else { return nil }
    }

    /// Whether a token before these bytes stands where a member's name does. There it is a fault for Python as well.
    private func isName(_ rest: Slice<UnsafeRawBufferPointer>) -> Bool {
        rest.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: ":")
    }

    private mutating func replace(_ range: Range<Int>) {
        numbers.append(range)
        bytes[range.lowerBound] = UInt8(ascii: "\"")
        for index in range.dropFirst().dropLast() { bytes[index] = UInt8(ascii: " ") }
        bytes[range.upperBound - 1] = UInt8(ascii: "\"")
    }
}
