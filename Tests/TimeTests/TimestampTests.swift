import Foundation
import Testing
import Time

struct TimestampTests {
    /// The example of RFC 9110, a leap day, the epoch, and the last second of a year.
    @Test(arguments: [
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
    ])
    func httpDatesFollowTheStandard(second: Int64, text: String) {
        #expect(Timestamp(unixSeconds: second).httpDate == text)
    }

    @Test func timesAreUTC() {
        let time = Timestamp(unixMilliseconds: 1_709_210_709_099)
        #expect(time.readable(.seconds) == "2024-02-29 12:45:09" && time.clock == "12:45")
        #expect(time.iso8601 == "2024-02-29T12:45:09.099Z" && time.text(.minutes) == "2024-02-29T12:45")
        #expect(Timestamp(minute: 0).readable(.minutes) == "1970-01-01 00:00")
        #expect(Timestamp(unixMilliseconds: -1).iso8601 == "1969-12-31T23:59:59.999Z")
    }

    /// Every day from 1900 to 2500, and some later ones, compared with Foundation.
    @Test func everyDayAgreesWithFoundation() {
        let style = Date.ISO8601FormatStyle().year().month().day()
        for number in Array(-25_567..<193_600) + [2_932_896] {
            let text = Date(timeIntervalSince1970: Double(number) * 86_400).formatted(style)
            #expect(CalendarDay(number: Int64(number)).description == text)
            if number >= 0 { #expect(CalendarDay(text)?.number == Int64(number)) }
        }
    }

    @Test(arguments: [
        ("1970-01-01", 0), ("2026-11-24", 20_781), ("2024-02-29", 19_782), ("9999-12-31", 2_932_896),
        ("2026-02-29", nil), ("2026-13-01", nil), ("1969-12-31", nil), ("2026-1-1", nil), ("20261124", nil),
        ("2026-11-24T", nil), ("yesterday!", nil), ("2026-11-2４", nil), ("-026-11-24", nil), ("2026-00-10", nil),
        ("2026-01-00", nil), ("2026--1-01", nil), ("+026-01-01", nil),
    ])
    func onlyDaysOfTheCalendarAreRead(text: String, number: Int64?) {
        #expect(CalendarDay(text)?.number == number)
    }

    @Test func aDayHasAShortForm() { #expect(CalendarDay(number: 20_781).short == "24 Nov") }

    @Test(arguments: [
        ("2025-11-23T12:13:00Z", 1_763_899_980), ("2025-11-23T13:13:00+01:00", 1_763_899_980),
        ("2025-11-23T12:13:00.999Z", 1_763_899_980), ("2025-11-23", 1_763_856_000), ("1763899980", 1_763_899_980),
        ("-5", -5),
    ])
    func pointsInTimeAreParsed(text: String, seconds: Int64) {
        #expect(Timestamp(text)?.unixSeconds == seconds)
    }

    @Test func pointsInTimeAreOrderedAndHaveDistances() {
        let (early, late) = (Timestamp(unixMilliseconds: -1), Timestamp(unixMilliseconds: 59_999))
        #expect(early < late && late - early == .seconds(60) && early - late == .seconds(-60))
        #expect(late - .seconds(60) == early && (early.minute, late.minute) == (-1, 0))
        #expect("\(Age(late - early))" == "1 min" && "\(Age(early - late))" == "0 s")
    }

    @Test func aPointInTimeIsTextInJSON() throws {
        let time = Timestamp(unixMilliseconds: 1_709_210_709_099)
        let json = Data("\"2024-02-29T12:45:09.099Z\"".utf8)
        #expect(try JSONEncoder().encode(time) == json && JSONDecoder().decode(Timestamp.self, from: json) == time)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(Timestamp.self, from: Data("\"now\"".utf8)) }
    }

    @Test(arguments: [
        "", "yesterday", "2025-13-01", "2025-02-30", "20251123", "2025-11-23T12:13", "12:13", "9223372036854775807",
    ])
    func otherTextIsNotAPointInTime(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test(arguments: [0, 1, 250, 999, 1_763_899_980_251])
    func aTimestampIsReadBack(milliseconds: Int64) {
        let time = Timestamp(unixMilliseconds: milliseconds)
        #expect(Timestamp(iso8601: time.iso8601) == time)
    }

    @Test(arguments: [
        (-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (18_300, "5 h 5 min"),
        (172_799, "47 h 59 min"), (183_600, "2 d 3 h"), (864_000, "10 d"),
    ])
    func agesAreShort(seconds: Int64, text: String) { #expect(Age(seconds: seconds).description == text) }
}
