/// A day in a table row: 24 hourly values, nil where there is none.
struct Sparkline: Sendable {
    let values: [Double?]
    /// The content for a reader who cannot see it.
    let summary: String

    var html: HTML {
        let scale = PlotScale(values.compactMap { $0 })
        var path = ""
        var isDown = false
        for (hour, value) in values.enumerated() {
            if let value {
                let place = "\(hour * 10 + 5) \(Int((100 * (1 - scale.share(value))).rounded()))"
                let isAlone = !isDown && (hour + 1 == values.count || values[hour + 1] == nil)
                path += isDown ? "L" + place : "M" + place + (isAlone ? "h3" : "")
            }
            isDown = value != nil
        }
        return """
            <svg class="spark" viewBox="0 0 \(values.count * 10) 100" preserveAspectRatio="none" role="img" \
            aria-label="\(summary)"><title>\(summary)</title><path class="line" d="\(path)"/></svg>
            """
    }
}
