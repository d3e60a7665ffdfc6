/// Markup that escapes interpolated text.
///
/// A literal is used as it is. Interpolated text is escaped, so that a name from a client cannot become markup:
///
///     let html: HTML = "<p title=\"\(name)\">\(name)</p>"
///
/// The escapes are safe between tags and in quoted attributes. Unquoted attributes are not used.
struct HTML: ExpressibleByStringInterpolation, Sendable, Equatable {
    private(set) var markup: String

    init(stringLiteral markup: String) { self.markup = markup }
    init(stringInterpolation: StringInterpolation) { markup = stringInterpolation.markup }
    /// Takes text as markup, without escapes. Never call it with text from a client.
    init(markup: String) { self.markup = markup }

    static func += (html: inout HTML, more: HTML) { html.markup += more.markup }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var markup: String

        init(literalCapacity: Int, interpolationCount: Int) {
            markup = ""
            markup.reserveCapacity(literalCapacity + interpolationCount * 16)
        }

        mutating func appendLiteral(_ literal: String) { markup += literal }
        mutating func appendInterpolation(_ text: some StringProtocol) { markup.appendEscaped(text) }
        mutating func appendInterpolation(_ number: some BinaryInteger) { markup += String(number) }
        mutating func appendInterpolation(_ html: HTML) { markup += html.markup }
        /// Appends nothing for nil.
        mutating func appendInterpolation(_ html: HTML?) { markup += html?.markup ?? "" }
        mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { markup += part.markup } }
    }
}

extension String {
    /// Appends text for HTML, with invisible characters made visible.
    ///
    /// A name with control or format characters would look like another name, or reverse the text around it.
    fileprivate mutating func appendEscaped(_ text: some StringProtocol) {
        // Text that needs no escapes, as is usual.
        if text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 && !Self.markupBytes.contains($0) }) {
            self += text
            return
        }
        var isAfterEmoji = false
        for scalar in text.unicodeScalars {
            let isJoiner = scalar == "\u{FE0F}" || scalar == "\u{200D}"
            switch scalar {
            case "&": self += "&amp;"
            case "<": self += "&lt;"
            case ">": self += "&gt;"
            case "\"": self += "&quot;"
            case "'": self += "&#39;"
            case "\n", "\t": unicodeScalars.append(scalar)
            case _ where scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7F: unicodeScalars.append(scalar)
            case _ where isJoiner && isAfterEmoji: unicodeScalars.append(scalar)
            case _ where scalar.isInvisible: self += "⟨U+\(scalar.hexadecimal)⟩"
            default: unicodeScalars.append(scalar)
            }
            isAfterEmoji = !scalar.isASCII && scalar.properties.isEmoji || (isJoiner && isAfterEmoji)
        }
    }

    private static let markupBytes = Array("&<>\"'".utf8)
}

extension Unicode.Scalar {
    /// Whether it is a control character, a direction mark, a joiner, a variation selector, a tag or a line separator.
    fileprivate var isInvisible: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: properties.isDefaultIgnorableCodePoint || properties.isNoncharacterCodePoint
        }
    }

    fileprivate var hexadecimal: String {
        let hex = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - hex.utf8.count)) + hex
    }
}
