import Testing
import Time

@testable import Receiver

/// The format of a key file, and the checks of a certificate's dates.
struct KeyFileTests {
    @Test(arguments: [
        ("one", ["one"]), ("one\n", ["one"]), ("one\r\ntwo\r\n", ["one", "two"]), ("one\rtwo", ["one", "two"]),
        ("\u{FEFF}one\n", ["one"]), ("# comment\n\n  one\t\n#two\n", ["one"]), ("one#1\n", ["one#1"]),
        ("a b\n", ["a b"]), ("one\none\n", ["one", "one"]), ("schlüssel", ["schlüssel"]),
    ])
    func eachLineIsAKey(text: String, keys: [String]) throws {
        #expect(try KeyFile.keys(in: text) == keys)
    }

    @Test(arguments: [
        ("", "contains no key"), ("\r\n# nothing\r\n", "contains no key"),
        ("one\ntwo,three", "line 2 has a comma"), ("one,\u{301}two", "line 1 has a comma"),
        ("#\u{301}x", "contains no key"),
        ("one\n\u{0}\n", "line 2 has a control character"), ("a\tb", "line 1 has a control character"),
    ])
    func anInvalidKeyIsNamedByItsLine(text: String, reason: String) throws {
        let fault = #expect(throws: SmallFile.ReadError.self) { try KeyFile.keys(in: text) }
        #expect(fault?.description.hasPrefix(reason) == true)
    }

    @Test func certificatesAreCheckedByTheirDates() {
        let now = Timestamp(unixSeconds: 1_800_000_000)
        func day(_ number: Double) -> Timestamp { now - .seconds(-number * 86_400) }
        func fault(_ begin: Double, _ end: Double) -> String? {
            CertificateValidity(begin: day(begin), end: day(end)).fault(now: now)
        }
        #expect(fault(-1, 30) == nil && fault(-1, 7) == nil)
        #expect(fault(-1, 6.5)?.hasPrefix("expires in 6 days") == true)
        #expect(fault(-1, 0)?.hasPrefix("has expired at 2027-01-15T08:00:00Z") == true)
        #expect(fault(1, 30)?.hasPrefix("is not valid before 2027-01-16T08:00:00Z") == true)
    }
}
