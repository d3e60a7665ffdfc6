import Testing

@testable import Receiver

struct FiguresTests {
    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (12345, "12,345")])
    func numbersAreGrouped(number: Int, text: String) { #expect(Figures.grouped(number) == text) }

    @Test(arguments: [
        (8.94, "8.9 W"), (-0.04, "0.0 W"), (999.94, "999.9 W"), (999.96, "1.00 kW"), (1234.5, "1.23 kW"),
        (999_999, "1.00 MW"), (-2500, "-2.50 kW"), (1e300, "1e+300 W"),
    ])
    func powersHaveAUnit(watts: Double, text: String) { #expect(Figures.watts(watts) == text) }

    @Test(arguments: [(0.00123, "1.2 ms"), (0.25, "250 ms"), (0.9996, "1.00 s"), (12, "12.00 s")])
    func durationsHaveAUnit(seconds: Double, text: String) { #expect(Figures.duration(seconds: seconds) == text) }
}
