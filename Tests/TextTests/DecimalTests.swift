import Testing
import Text

struct DecimalTests {
    @Test(arguments: [
        (Int.min, "-9223372036854775808"), (-100, "-100"), (-10, "-10"), (-1, "-1"), (0, "0"), (9, "9"), (10, "10"),
        (99, "99"),
        (100, "100"), (101, "101"), (1_000_000, "1000000"), (.max, "9223372036854775807"),
    ])
    func aNumberIsAppendedInDecimal(number: Int, text: String) {
        var bytes = Array("7 ".utf8)
        bytes.append(decimal: number)
        #expect(String(decoding: bytes, as: UTF8.self) == "7 " + text)
    }
}
