/// Integers in a JSON text that 64 bits do not hold, for a parser that refuses those.
enum LongIntegers {
    /// A copy of `text` in which such integers are written with an exponent, so that they are read as doubles; nil when
    /// there are none. Every byte keeps its place: of `123456789012345678901` the last two digits become `e2`, which
    /// leaves as many digits as a double holds.
    static func rewritten(_ text: UnsafeRawBufferPointer, padding: Int) -> [UInt8]? {
        var copy: [UInt8]?
        var position = 0
        while position < text.count {
            switch text[position] {
            case UInt8(ascii: "\""): position = endOfString(text, from: position)
            case UInt8(ascii: "-"), 0x30...0x39:
                let start = position
                position += 1
                while position < text.count, isOfNumber(text[position]) { position += 1 }
                let literal = text[start..<position]
                guard literal.count >= 20, isTooLong(literal) else { continue }
                if copy == nil { copy = [UInt8](text) + [UInt8](repeating: 0, count: padding) }
                copy?[position - 2] = UInt8(ascii: "e")
                copy?[position - 1] = UInt8(ascii: "2")
            default: position += 1
            }
        }
        return copy
    }

    private static func isTooLong(_ literal: Slice<UnsafeRawBufferPointer>) -> Bool {
        let digits = literal.drop { $0 == UInt8(ascii: "-") }
        guard digits.allSatisfy({ 0x30...0x39 ~= $0 }), digits.first != 0x30 else { return false }
        let text = String(decoding: literal, as: UTF8.self)
        return Int64(text) == nil && UInt64(text) == nil
    }

    private static func isOfNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    /// The position behind the string that begins at `start`.
    private static func endOfString(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start + 1
        while position < text.count {
            switch text[position] {
            case UInt8(ascii: "\""): return position + 1
            case UInt8(ascii: "\\"): position += 2
            default: position += 1
            }
        }
        return position
    }
}
