import Foundation
import Testing
import Text

struct JSONTextTests {
    @Test func membersAreWrittenInTheirOrderWithCommas() {
        struct Point { let x: Int, y: Double? }
        let json = JSONText { json in
            json.add("z", "text")
            json.add("a", Int64(-1))
            json.add("none", String?.none)
            json.add("flag", true)
            json.add("numbers", [1.5, nil, -1e-7])
            json.add("empty", [Int]())
            json.add("points", [Point(x: 1, y: 2), Point(x: 3, y: nil)]) { json, point in
                json.add("x", point.x)
                json.add("y", point.y)
            }
            json.add("json", json: #"{"k":[]}"#.utf8)
        }
        #expect(
            json.text == #"{"z":"text","a":-1,"none":null,"flag":true,"numbers":[1.5,null,-1e-07],"empty":[],"#
                + #""points":[{"x":1,"y":2.0},{"x":3,"y":null}],"json":{"k":[]}}"#)
        #expect(JSONText { _ in }.line == Array("{}\n".utf8))
    }

    @Test(arguments: [
        "", "\"", "\\", "\n\r\t\u{0}\u{1F}\u{7F}", "é😀\u{2028}", "</script>", "e\u{301}", "\\u0000",
    ])
    func escapedTextIsReadBack(text: String) throws {
        let json = JSONText { $0.add("text", text) }
        #expect(json.bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        let read = try #require(JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: String])
        #expect(read["text"]?.utf8.elementsEqual(text.utf8) == true)
    }

    @Test func wholeNumbersAreInDecimal() {
        let numbers = [0, 9, 10, -10, 1_234_567_890, .max, .min]
        #expect(
            JSONText { $0.add("n", numbers) }.text == "{\"n\":[\(numbers.map(String.init).joined(separator: ","))]}")
    }

    @Test func numbersThatAreNotFiniteAreNull() {
        #expect(JSONText { $0.add("n", [Double.infinity, .nan]) }.text == #"{"n":[null,null]}"#)
    }

    @Test func encodedMembersAreInAlphabeticalOrder() {
        struct Value: Encodable { let b = "a/b", a = 1 }
        #expect(JSONText(encoding: Value()).text == #"{"a":1,"b":"a/b"}"#)
    }

    @Test(arguments: [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (63 << 30, "63.0 GiB"), (500 << 20, "500 MiB")])
    func bytesHaveAUnit(bytes: Int, text: String) { #expect(bytes.inBytes == text) }
}
