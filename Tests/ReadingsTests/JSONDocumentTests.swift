import Testing

@testable import Readings

/// The parser accepts exactly JSON and reads its values, for any bytes after the text in memory.
struct JSONDocumentTests {
    private let parser = JSONParser(maximumDepth: 4)

    /// Calls `body` with the parsed text, nil if it is refused. Copies of `rest` follow the text in memory.
    private func parse<T>(_ text: [UInt8], before rest: String = "\0", _ body: (JSONValue?) throws -> T) rethrows -> T {
        var padded = text
        while padded.count < text.count + JSONParser.padding { padded += Array(rest.utf8) }
        return try padded.withUnsafeBytes { bytes in
            try body(try? parser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<text.count])))
        }
    }

    private func isJSON(_ text: [UInt8], before rest: String) -> Bool { parse(text, before: rest) { $0 != nil } }

    /// Every text of at most `length` of these bytes.
    private func texts(of alphabet: String, upTo length: Int) -> [[UInt8]] {
        var texts: [[UInt8]] = [[]]
        var longest = texts
        for _ in 0..<length {
            longest = longest.flatMap { text in alphabet.utf8.map { text + [$0] } }
            texts += longest
        }
        return texts
    }

    /// The scanner that locates errors reads byte by byte, and shares no code with the parser.
    private func expectAgreement(_ text: [UInt8]) {
        let fault = text.withUnsafeBytes { JSONSyntax.firstError(in: $0, maximumDepth: 4) }
        for rest in ["\0", "1", "]", "}", ",1", ".5", "e", "\"", ":1}", "ll", " ]"]
        where isJSON(text, before: rest) != (fault == nil) {
            Issue.record(
                "\(String(decoding: text, as: UTF8.self)) before \(rest): \(fault.map { "\($0)" } ?? "no fault")")
        }
    }

    @Test func parserAndScannerAgreeOnStructure() {
        for text in texts(of: "{}[],:\"1", upTo: 5) { expectAgreement(text) }
        for text in texts(of: "[]{},1", upTo: 4) { expectAgreement(Array("{\"a\":".utf8) + text + Array("}".utf8)) }
        for text in texts(of: "\",:a", upTo: 6) {
            for end in [":1}", "1}", "}"] { expectAgreement(Array("{".utf8) + text + Array(end.utf8)) }
        }
    }

    @Test func parserAndScannerAgreeOnNumbers() {
        for text in texts(of: "-015.eE+ ", upTo: 4) {
            expectAgreement(text)
            expectAgreement(Array("[".utf8) + text + Array("]".utf8))
        }
        for zeros in 0...20 {
            for number in ["1", "-1.", "0.", ".", "1e", "1e-", "-"].map({ $0 + String(repeating: "0", count: zeros) }) {
                for tail in ["", ".", "5", "x", " ", "\n", " 1", "e1", ".5", ".5."] {
                    expectAgreement(Array("[\(number)\(tail)]".utf8))
                    expectAgreement(Array("\(number)\(tail)".utf8))
                }
            }
        }
    }

    @Test func parserAndScannerAgreeOnStrings() {
        for text in texts(of: "\\\"nux\n ", upTo: 4) { expectAgreement(Array("[\"".utf8) + text + Array("\"]".utf8)) }
        for unit in [
            "0000", "d83d", "dc00", "D83D", "00e", "00gg", "\\ud8", "d83d\\", "d83d\\ude00", "d83d\\u0041", "d83dx",
        ] {
            expectAgreement(Array("\"\\u\(unit)\"".utf8))
        }
        for lead in UInt8.min ... .max {
            for rest: [UInt8] in [
                [], [0x80], [0x9F, 0xBF], [0xA0, 0x80], [0x80, 0x80, 0x80], [0x8F, 0xBF, 0xBF], [0x90, 0x80, 0x80],
            ] {
                expectAgreement([0x22, lead] + rest + [0x22])
                expectAgreement([lead] + rest)
            }
        }
    }

    @Test func parserAndScannerAgreeOnLiterals() {
        for literal in ["true", "false", "null"] {
            for text in [literal] + [literal.dropLast(), literal.dropFirst(), literal.prefix(1)].map(String.init) {
                for tail in ["", " ", "x", "1", "\"", "\u{C}", "\u{1A}", "{", "null"] {
                    expectAgreement(Array("\(text)\(tail)".utf8))
                    expectAgreement(Array("[\(text)\(tail)]".utf8))
                }
            }
        }
    }

    @Test func depthIsBounded() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in 1...7 {
                for inner in ["1", "[]", "{}"] {
                    expectAgreement(
                        Array(
                            (String(repeating: open, count: depth) + inner + String(repeating: close, count: depth))
                                .utf8))
                }
            }
        }
    }

    @Test(arguments: [
        "0", "-0.0", "1", "-1", "231.2", "0.04", "1732320000", "12345.678", "123456789012345", "1234567890123456",
        "12345678901234567", "9007199254740992", "9007199254740993", "-9007199254740993", "900719925474099.3",
        "0.000000000000001", "0.30000000000000004", "1e22", "1e23", "8.5E+22", "1e-5", "-1.5e-3",
        "1.7976931348623157e308",
        "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "-1e-400", "0.0e9999999999",
        "1e-99999999999999",
        "2.2250738585072011e-308", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
        "18446744073709551616", "123456789012345678901234567890", "0.1000000000000000055511151231257827",
    ])
    func numberIsTheNearestDouble(text: String) throws {
        let expected = try #require(Double(text))
        for document in ["[\(text)]", "[ \(text) ]", text] {
            parse(Array(document.utf8), before: "7") { root in
                let value =
                    root?.number
                    ?? { () -> Double? in
                        var number: Double?
                        root?.forEachElement { number = $0.number }
                        return number
                    }()
                #expect(value?.bitPattern == expected.bitPattern)
            }
        }
    }

    @Test func anIntegerHasNoNegativeZero() {
        parse(Array("[-0]".utf8)) { root in root?.forEachElement { #expect($0.number?.sign == .plus) } }
    }

    @Test(arguments: ["1e309", "-1e999", "1.7976931348623159e308", "1" + String(repeating: "0", count: 309), "10e308"])
    func numbersBeyondADoubleAreRefused(text: String) {
        #expect(!isJSON(Array("[\(text)]".utf8), before: "0"))
    }

    @Test(arguments: [
        (#""""#, ""), (#""a""#, "a"), (#"" a " "#, " a "), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
        (#""\u00e9\ud83d\ude00\u0000""#, "é😀\u{0}"), (#""]},:{[""#, "]},:{["),
        ("\"" + String(repeating: "x\\n", count: 40) + "\"", String(repeating: "x\n", count: 40)),
    ])
    func stringIsUnescaped(text: String, expected: String) {
        // Twice, with other strings around it, because unescaped strings are stored one after the other.
        parse(Array("{\"a\":\(text),\"\\u0062\":\"c\",\(text):\"\\u0064\"}".utf8), before: "\\") { root in
            var found: [String] = []
            root?.forEachMember { name, value in
                found.append(String(decoding: name, as: UTF8.self))
                found.append(value.string.map { String(decoding: $0, as: UTF8.self) } ?? "none")
            }
            #expect(found == ["a", expected, "b", "c", expected, "d"])
        }
    }

    @Test func valuesHaveTheirRangeOfTheText() {
        let text = #" { "a" : [ ] , "b":[1 ,{"c":{ }}] ,"d": "x\n" ,"e":-1.50 } "#
        parse(Array(text.utf8)) { root in
            var found: [String] = []
            root?.forEachMember { _, value in
                found.append(String(decoding: Array(text.utf8)[value.range], as: UTF8.self))
                if value.isArray {
                    value.forEachElement { found.append(String(decoding: Array(text.utf8)[$0.range], as: UTF8.self)) }
                }
            }
            #expect(found == ["[ ]", #"[1 ,{"c":{ }}]"#, "1", #"{"c":{ }}"#, #""x\n""#, "-1.50"])
        }
    }
}
