/// Markup. A literal is markup as it stands, and whatever is interpolated into it is text and is escaped, so that no name
/// that a client has sent can become a part of the page:
///
///     let html: HTML = "<p title=\"\(name)\">\(name)</p>"
///
/// The escapes hold between tags and in attributes within quotes; attributes without quotes are not used.
struct HTML: ExpressibleByStringInterpolation, Sendable, Equatable {
    private(set) var markup: String

    init(stringLiteral markup: String) { self.markup = markup }
    init(stringInterpolation: StringInterpolation) { markup = stringInterpolation.markup }

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
        /// Nothing for nil.
        mutating func appendInterpolation(_ html: HTML?) { markup += html?.markup ?? "" }
        mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { markup += part.markup } }
    }
}

extension String {
    /// Appends text for HTML. What nobody could see is made visible: a name with control or format characters would look
    /// like another one, or turn the text around it.
    fileprivate mutating func appendEscaped(_ text: some StringProtocol) {
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
}

extension Unicode.Scalar {
    /// Control characters, those that set a direction, joiners, variation selectors, tags, separators of lines.
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
