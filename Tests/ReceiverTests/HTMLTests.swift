import Testing

@testable import Receiver

struct HTMLTests {
    @Test(arguments: [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\"><img src=x onerror='x'>", "&quot;&gt;&lt;img src=x onerror=&#39;x&#39;&gt;"),
        ("&lt;", "&amp;lt;"), ("plug-1 ä 水 ﷽", "plug-1 ä 水 ﷽"),
        // Invisible characters: a direction, a joiner, a control character, a tag, a line separator.
        ("\u{202E}gulp", "⟨U+202E⟩gulp"), ("a\u{200B}b\u{200D}c", "a⟨U+200B⟩b⟨U+200D⟩c"),
        ("\u{0}\u{7F}\u{9B}", "⟨U+0000⟩⟨U+007F⟩⟨U+009B⟩"), ("x\u{E0041}\u{2066}", "x⟨U+E0041⟩⟨U+2066⟩"),
        ("a\u{2028}b\u{FEFF}\u{AD}", "a⟨U+2028⟩b⟨U+FEFF⟩⟨U+00AD⟩"), ("1\u{200D}", "1⟨U+200D⟩"),
        // One emoji of several scalars.
        ("👩‍👩‍👧 ❤️", "👩‍👩‍👧 ❤️"),
    ])
    func interpolatedValuesAreEscaped(text: String, escaped: String) {
        let html: HTML = "<p title=\"\(text)\">\(text)</p>"
        #expect(html.markup == "<p title=\"\(escaped)\">\(escaped)</p>")
    }

    @Test func markupIsNotEscaped() {
        let name = "<b>"
        let part: HTML = "<i>\(name)</i>"
        let none: HTML? = nil
        let html: HTML = "\(part)\(none)\([part, part])\(7)\(name.dropLast())"
        let one = "<i>&lt;b&gt;</i>"
        #expect(html.markup == one + one + one + "7&lt;b")
    }
}
