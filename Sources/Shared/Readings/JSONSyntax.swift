/// Finds the position of the first syntax error in a text. The parser reports an error without its position, so this
/// scanner runs byte by byte, on rejected bodies only.
struct JSONSyntax {
    /// The first invalid byte, and the expected syntax at its place.
    struct SyntaxError: Error, Equatable {
        let offset: Int
        let expected: String
    }

    /// The first error in `text`, or nil if the whole text is valid.
    static func firstError(in text: UnsafeRawBufferPointer, maximumDepth: Int) -> SyntaxError? {
        var scanner = JSONSyntax(text: text, maximumDepth: maximumDepth)
        do throws(SyntaxError) {
            try scanner.document()
            return nil
        } catch {
            return error
        }
    }

    private let text: UnsafeRawBufferPointer
    private let maximumDepth: Int
    private var position = 0

    private init(text: UnsafeRawBufferPointer, maximumDepth: Int) {
        self.text = text
        self.maximumDepth = maximumDepth
    }

    private var current: UInt8? { position < text.count ? text[position] : nil }

    private func error(_ expected: String) -> SyntaxError { SyntaxError(offset: position, expected: expected) }

    private mutating func skipSpace() {
        while let c = current, c == 0x20 || c == 0x0A || c == 0x0D || c == 0x09 { position += 1 }
    }

    private mutating func take(_ c: Character) -> Bool {
        guard current == c.asciiValue else { return false }
        position += 1
        return true
    }

    // A loop with a stack of open containers rather than recursion, so that no input can exhaust the thread's stack.
    private mutating func document() throws(SyntaxError) {
        var open: [Character] = []
        skipSpace()
        while true {
            if take("{") {
                open.append("}")
                skipSpace()
                if !take("}") {
                    try memberName()
                    guard open.count <= maximumDepth else { throw error("nesting of at most \(maximumDepth) levels") }
                    continue
                }
                open.removeLast()
            } else if take("[") {
                skipSpace()
                if !take("]") {
                    open.append("]")
                    guard open.count <= maximumDepth else { throw error("nesting of at most \(maximumDepth) levels") }
                    continue
                }
            } else {
                try scalar()
            }
            // After a value: close containers, or continue with the next value.
            while true {
                skipSpace()
                guard let closing = open.last else {
                    guard current == nil else { throw error("the end of the body") }
                    return
                }
                if take(closing) {
                    open.removeLast()
                } else if take(",") {
                    skipSpace()
                    if closing == "}" { try memberName() }
                    break
                } else {
                    throw error("',' or '\(closing)'")
                }
            }
        }
    }

    private mutating func memberName() throws(SyntaxError) {
        guard current == UInt8(ascii: "\"") else { throw error("a member's name in double quotes") }
        try string()
        skipSpace()
        guard take(":") else { throw error("':'") }
        skipSpace()
    }

    private mutating func scalar() throws(SyntaxError) {
        switch current {
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        case let c? where c == UInt8(ascii: "-") || 0x30...0x39 ~= c: try number()
        default: throw error("a value")
        }
    }

    private mutating func literal(_ word: String) throws(SyntaxError) {
        for c in word { guard take(c) else { throw error("'\(word)'") } }
    }

    private mutating func digits() throws(SyntaxError) {
        guard let c = current, c >= 0x30, c <= 0x39 else { throw error("a digit") }
        while let c = current, c >= 0x30, c <= 0x39 { position += 1 }
    }

    private mutating func number() throws(SyntaxError) {
        let start = position
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") {
            try digits()
        }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        let literal = String(decoding: text[start..<position], as: UTF8.self)
        guard Double(literal)?.isFinite == true else {
            throw SyntaxError(offset: start, expected: "a number that a double can hold")
        }
    }

    private mutating func string() throws(SyntaxError) {
        position += 1
        while let c = current {
            switch c {
            case UInt8(ascii: "\""):
                position += 1
                return
            case UInt8(ascii: "\\"): try escape()
            case 0..<0x20: throw error("an escape in place of a raw control character")
            case 0..<0x80: position += 1
            default: try multibyte()
            }
        }
        throw error("the string's closing quote")
    }

    private mutating func escape() throws(SyntaxError) {
        let start = position
        position += 1
        guard let c = current else { throw error("an escape") }
        guard c == UInt8(ascii: "u") else {
            guard #""\/bfnrt"#.utf8.contains(c) else { throw error("one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u") }
            position += 1
            return
        }
        let unit = try hexUnit()
        if unit >= 0xDC00, unit <= 0xDFFF { throw SyntaxError(offset: start, expected: "no lone surrogate") }
        guard unit >= 0xD800, unit <= 0xDBFF else { return }
        guard take("\\"), current == UInt8(ascii: "u") else {
            throw SyntaxError(offset: start, expected: "no lone surrogate")
        }
        let low = try hexUnit()
        guard low >= 0xDC00, low <= 0xDFFF else { throw SyntaxError(offset: start, expected: "no lone surrogate") }
    }

    /// Reads `uXXXX`.
    private mutating func hexUnit() throws(SyntaxError) -> UInt32 {
        position += 1
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let c = current, let digit = Character(Unicode.Scalar(c)).hexDigitValue else {
                throw error("four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }

    private mutating func multibyte() throws(SyntaxError) {
        // RFC 3629: the second byte's bounds exclude overlong forms, surrogates and scalars above U+10FFFF.
        let (length, second): (Int, ClosedRange<UInt8>) =
            switch text[position] {
            case 0xC2...0xDF: (2, 0x80...0xBF)
            case 0xE0: (3, 0xA0...0xBF)
            case 0xED: (3, 0x80...0x9F)
            case 0xE1...0xEF: (3, 0x80...0xBF)
            case 0xF0: (4, 0x90...0xBF)
            case 0xF1...0xF3: (4, 0x80...0xBF)
            case 0xF4: (4, 0x80...0x8F)
            default: throw error("valid UTF-8")
            }
        guard position + length <= text.count, second ~= text[position + 1] else { throw error("valid UTF-8") }
        for index in (position + 2)..<(position + length) where text[index] & 0xC0 != 0x80 {
            throw error("valid UTF-8")
        }
        position += length
    }
}
