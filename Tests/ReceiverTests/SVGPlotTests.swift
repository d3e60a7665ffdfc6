import Testing

@testable import Receiver

struct SVGPlotTests {
    @Test(arguments: [
        ([], 0, 1, ["0", "1"]), ([0.0], 0, 1, ["0", "1"]), ([0.004], 0, 0.005, ["0.000", "0.005"]),
        ([118], 0, 150, ["0", "50", "100", "150"]), ([8.9, 2.2], 0, 10, ["0", "5", "10"]),
        ([-40, 82], -50, 100, ["-50", "0", "50", "100"]), ([-3], -3, 0, ["-3", "-2", "-1", "0"]),
        ([2013.4], 0, 3000, ["0", "1,000", "2,000", "3,000"]),
        ([64_000], 0, 80_000, ["0k", "20k", "40k", "60k", "80k"]),
        ([0.3], 0, 0.3, ["0.0", "0.1", "0.2", "0.3"]),
    ])
    func axesHaveRoundTicks(values: [Double], lowest: Double, highest: Double, labels: [String]) {
        let scale = PlotScale(values)
        #expect(abs(scale.lowest - lowest) < 1e-9 && abs(scale.highest - highest) < 1e-9)
        #expect(scale.ticks.map(scale.label) == labels)
    }

    @Test(arguments: [[1.7e308, -1.7e308], [1e12], [1e-300], [-1e-300, 3], [1e12, 1e-3]])
    func everyFiniteValueFitsAnAxis(values: [Double]) {
        let scale = PlotScale(values)
        #expect(2...12 ~= scale.ticks.count)
        for value in values { #expect(0...1 ~= scale.share(value)) }
    }

    @Test func countsHaveWholeTicks() {
        #expect(PlotScale([0], isWhole: true).ticks == [0, 1])
        #expect(PlotScale([2], isWhole: true).ticks == [0, 1, 2])
        let line = SVGPlot(
            title: "t", unit: "", summary: "s", minutes: 0..<4, curve: .line([.init(minute: 1, value: 2)]),
            isCount: true)
        #expect(line.html.markup.components(separatedBy: ">1</text>").count == 2)
    }

    @Test func linesBreakAtGaps() {
        func lines(_ minutes: [Int64]) -> String {
            let plot = SVGPlot(
                title: "t", unit: "W", summary: "s", minutes: 28_000_000..<28_001_440,
                curve: .line(minutes.map { SVGPlot.Point(minute: 28_000_000 + $0, value: 4) }))
            let html = plot.html.markup
            guard let start = html.range(of: "class=\"line\" d=\"") else { return "" }
            return String(html[start.upperBound...].prefix { $0 != "\"" })
        }
        // One minute is missing.
        #expect(lines([0, 1, 2, 4, 5]) == "M0 0h0L1 0L2 0M4 0h0L5 0")
        // A device that reports every five minutes has a gap only where it missed one.
        #expect(lines([0, 5, 10, 16, 30]) == "M0 0h0L5 0L10 0L16 0M30 0h0")
        #expect(lines([7]) == "M7 0h0" && lines([]) == "")
    }

    @Test func minutesWithoutReadingsAreAtZero() {
        let plot = SVGPlot(
            title: "t", unit: "", summary: "s", minutes: 0..<4, curve: .columns([2, 2, 0, 1]))
        #expect(plot.html.markup.contains("class=\"columns\" d=\"M0 1000V0H2V1000H3V500H4V1000Z\""))
    }

    @Test func timesAreAtFullHoursAndMidnightNamesTheDay() {
        let start: Int64 = 20_781 * 1440 - 61
        let plot = SVGPlot(title: "t", unit: "", summary: "s", minutes: start..<start + 1440, curve: .marks([]))
        let html = plot.html.markup
        #expect(html.contains("x=\"4.24%\" y=\"50%\">24 Nov</text>"))
        for clock in ["03:00", "06:00", "21:00"] { #expect(html.contains(">\(clock)</text>")) }
        #expect(html.components(separatedBy: "<text").count == 1 + 8)
    }

    @Test func aPlotHasATextAlternative() {
        let plot = SVGPlot(title: "<t>", unit: "W", summary: "up & down", minutes: 0..<1440, curve: .columns([1]))
        #expect(plot.html.markup.contains("role=\"img\" aria-label=\"&lt;t&gt;. up &amp; down\""))
    }
}

extension String {
    fileprivate func components(separatedBy text: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self[...]
        while let found = rest.range(of: text) {
            parts.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        return parts + [rest]
    }
}
