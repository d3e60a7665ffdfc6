import Testing

@testable import Receiver

struct FiguresTests {
    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (12345, "12,345")])
    func numbersAreGrouped(number: Int, text: String) { #expect(Figures.grouped(number) == text) }

    @Test(arguments: [
        (-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (18_300, "5 h 5 min"),
        (172_799, "47 h 59 min"), (183_600, "2 d 3 h"), (864_000, "10 d"),
    ])
    func spansAreShort(seconds: Int64, text: String) { #expect(Figures.span(seconds: seconds) == text) }

    @Test(arguments: [
        (8.94, "8.9 W"), (-0.04, "0.0 W"), (999.94, "999.9 W"), (999.96, "1.00 kW"), (1234.5, "1.23 kW"),
        (999_999, "1.00 MW"), (-2500, "-2.50 kW"), (1e300, "1e+300 W"),
    ])
    func powersHaveAUnit(watts: Double, text: String) { #expect(Figures.watts(watts) == text) }

    @Test(arguments: [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (63 << 30, "63.0 GiB"), (500 << 20, "500 MiB")])
    func bytesHaveAUnit(bytes: Int, text: String) { #expect(Figures.bytes(bytes) == text) }

    @Test(arguments: [(0.00123, "1.2 ms"), (0.25, "250 ms"), (0.9996, "1.00 s"), (12, "12.00 s")])
    func durationsHaveAUnit(seconds: Double, text: String) { #expect(Figures.duration(seconds: seconds) == text) }

    @Test func timesAreUTC() {
        #expect(Figures.moment(milliseconds: 1_709_210_709_999) == "2024-02-29 12:45:09")
        #expect(Figures.moment(minute: 0) == "1970-01-01 00:00")
        #expect(Figures.shortDay(20_781) == "24 Nov" && Figures.day(2_932_896) == "9999-12-31")
    }
}
