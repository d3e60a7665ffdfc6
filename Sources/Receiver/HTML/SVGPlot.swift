import Time

/// A plot over minutes as inline SVG: axes in UTC, a title, and a summary in a sentence.
///
/// The curve stretches with the page while its texts keep their size, so the plot is three pictures: the value axis,
/// the curve and the time axis. Gaps stay gaps.
struct SVGPlot: Sendable {
    enum Curve: Sendable {
        /// One column for each minute.
        case columns([Int])
        /// A line through the points, which are sorted; the line is broken where a point is missing.
        case line([Point])
        /// The minutes of points whose values are not known.
        case marks([Int64])
    }

    struct Point: Sendable {
        /// Minutes since 1970.
        let minute: Int64
        let value: Double
    }

    let title: String
    let unit: String
    /// The plot's content for a reader who cannot see it.
    let summary: String
    /// The time axis, in minutes since 1970.
    let minutes: Range<Int64>
    let curve: Curve
    /// Whether the values are counts, as those of columns always are.
    var isCount = false

    private static let height = 1000.0

    var html: HTML {
        let scale = PlotScale(values, isWhole: isWhole)
        let ticks = isFlat ? [0] : scale.ticks
        let hours = timeTicks
        return """
            <figure class="plot\(isFlat ? " flat" : "")">
            <figcaption><b>\(title)</b>\(unit.isEmpty ? nil : " <span class=\"unit\">\(unit)</span>" as HTML)</figcaption>
            <svg class="values" aria-hidden="true">\((isFlat ? [] : ticks).map { tick -> HTML in
                "<text x=\"100%\" y=\"\(percent(1 - scale.share(tick)))\">\(scale.label(tick))</text>"
            })</svg>
            <svg class="curve" viewBox="0 0 \(minutes.count) 1000" preserveAspectRatio="none" role="img" \
            aria-label="\(title). \(summary)"><title>\(title). \(summary)</title>\(ticks.map { tick -> HTML in
                "<path class=\"\(tick == 0 ? "zero" : "grid")\" d=\"M0 \(height(tick, scale))H\(minutes.count)\"/>"
            })\(hours.map { hour -> HTML in
                "<path class=\"grid\" d=\"M\(hour.minute - minutes.lowerBound) 0V1000\"/>"
            })\(drawing(scale))</svg>
            <svg class="times" aria-hidden="true">\(hours.map { hour -> HTML in
                "<text class=\"\(hour.isMajor ? "major" : "minor")\" x=\"\(percent(place(hour.minute)))\" y=\"50%\">\(hour.label)</text>"
            })</svg>
            <p class="summary">\(summary)</p>
            </figure>
            """
    }

    private var isWhole: Bool { if case .columns = curve { true } else { isCount } }

    /// Marks have no height.
    private var isFlat: Bool { if case .marks = curve { true } else { false } }

    private var values: [Double] {
        switch curve {
        case .columns(let counts): counts.map(Double.init)
        case .line(let points): points.map(\.value)
        case .marks: []
        }
    }

    private func drawing(_ scale: PlotScale) -> HTML {
        switch curve {
        case .columns(let counts):
            let zero = height(0, scale)
            var path = "M0 \(zero)"
            var last: Int?
            for (index, count) in counts.enumerated() where count != last {
                path += (last == nil ? "" : "H\(index)") + "V\(height(Double(count), scale))"
                last = count
            }
            path += "H\(counts.count)V\(zero)Z"
            return "<path class=\"columns\" d=\"\(path)\"/>"
        case .line(let points):
            return """
                <path class="line" d="\(Self.path(points.map { point in
                    (point.minute, "\(point.minute - minutes.lowerBound) \(height(point.value, scale))")
                }))"/>
                """
        case .marks(let marked):
            return "<path class=\"marks\" d=\"\(marked.map { "M\($0 - minutes.lowerBound) 1000V300" }.joined())\"/>"
        }
    }

    /// A line through places, broken where two are more than one and a half of the usual distance apart. An isolated
    /// place becomes a dot.
    private static func path(_ places: [(minute: Int64, text: String)]) -> String {
        let distances = zip(places.dropFirst(), places).map { $0.minute - $1.minute }.sorted()
        let usual = distances.isEmpty ? 1 : distances[distances.count / 2]
        var path = ""
        var last: Int64?
        for (minute, text) in places {
            if let last, (minute - last) * 2 <= usual * 3 {
                path += "L" + text
            } else {
                path += "M" + text + "h0"
            }
            last = minute
        }
        return path
    }

    private func height(_ value: Double, _ scale: PlotScale) -> Int {
        Int((Self.height * (1 - scale.share(value))).rounded())
    }

    private func place(_ minute: Int64) -> Double { Double(minute - minutes.lowerBound) / Double(minutes.count) }

    private func percent(_ share: Double) -> String { Figures.fixed(share * 100, 2) + "%" }

    /// A tick every three hours; narrow pages show every second tick.
    private var timeTicks: [(minute: Int64, label: String, isMajor: Bool)] {
        let first = (minutes.lowerBound + 179) / 180
        let end = (minutes.upperBound + 179) / 180
        return (first..<end).map { tick in
            let minute = tick * 180
            let isMidnight = minute % 1440 == 0
            return (
                minute, isMidnight ? Timestamp(minute: minute).day.short : Timestamp(minute: minute).clock,
                tick.isMultiple(of: 2)
            )
        }
    }
}
