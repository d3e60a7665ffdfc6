import Readings
import Time

/// The page at `/devices/{id}`, with a plot for each channel of a device's day or last 24 hours. A value.
struct DeviceDayPage: Sendable {
    let now: Timestamp
    let day: DeviceDay
    /// The requested day; nil for the last 24 hours.
    let date: CalendarDay?
    /// The receiver's reading rules.
    var rules = ReadingRules.standard

    private var name: String { "\(day.device)" }

    /// The page's address.
    ///
    /// A browser treats `.` and `..` as path steps, in any encoding, so these two names are in the query.
    static func link(_ name: String, _ date: CalendarDay? = nil) -> String {
        let path = "/devices/" + (isStep(name) ? "?id=" : "") + name.percentEncoded
        return path + (date.map { (isStep(name) ? "&" : "?") + "day=\($0)" } ?? "")
    }

    private static func isStep(_ name: String) -> Bool { name == "." || name == ".." }

    var html: HTML {
        HTMLPage(
            title: "\(name) · Shelly Collector", level: verdict.level, now: now,
            content: """
                <header><p class="up"><a href="/">Shelly Collector</a></p><h1><bdi>\(name)</bdi></h1>\(HTMLPage.made(at: now))</header>
                <main>
                <ul id="verdicts" data-live class="verdicts" aria-label="State">\(verdict.html)\(databaseVerdict?.html)</ul>
                <nav class="days" aria-label="Days">\(dayLinks)</nav>
                <div id="plots" data-live>\(plots)</div>
                </main>
                """
        ).html
    }

    private var verdict: Verdict {
        guard let last = day.last else {
            return Verdict(
                level: .idle, sentence: "The spool has no message of this device.",
                detail: "The readings below are from the database.")
        }
        let heard = Age(now - Timestamp(unixSeconds: last.time))
        let moment = day.lastMinute.map { "\(Timestamp(minute: $0).readable(.minutes)) UTC" }
        switch day.state {
        case .silent:
            return Verdict(
                level: .attention, sentence: "Silent: last heard \(heard) ago.",
                detail: "\(moment.map { "Last reading \($0)" } ?? "No reading")")
        case .withoutReadings:
            return Verdict(
                level: .attention,
                sentence: "Heard \(heard) ago, but without readings\(moment.map { " since \($0)" } ?? "").",
                detail: "\(last.missing.map { "Reason: \($0.sentence(by: rules))." } ?? "")")
        case .withoutMeter:
            return Verdict(
                level: .idle, sentence: "Heard \(heard) ago.", detail: "\(last.missing?.sentence(by: rules) ?? "")")
        case .reporting:
            let age = Age(now - Timestamp(minute: day.lastMinute ?? 0))
            return Verdict(level: .good, sentence: "Reports: last reading \(age) ago.", detail: "\(moment ?? "")")
        }
    }

    private var databaseVerdict: Verdict? {
        day.database == .ok
            ? nil
            : Verdict(
                level: .failing, sentence: "Database unavailable: power values cannot be shown.",
                detail: "The marks are readings in the spool.")
    }

    private var dayLinks: HTML {
        let today = now.day
        let shown = date ?? today
        let title = date?.description ?? "Last 24 hours"
        let (before, after) = (CalendarDay(number: shown.number - 1), CalendarDay(number: shown.number + 1))
        let later: HTML? =
            shown.number < today.number ? "<a href=\"\(Self.link(name, after))\">\(after.description)</a>" : nil
        let present: HTML? = date == nil ? nil : "<a href=\"\(Self.link(name))\">Last 24 hours</a>"
        let id: HTML? = Self.isStep(name) ? "<input type=\"hidden\" name=\"id\" value=\"\(name)\">" : nil
        return """
            <a href="\(Self.link(name, before))">\(before.description)</a> <b>\(title)</b> \(later) \(present)
            <form method="get">\(id)<input type="date" name="day" value="\(shown.description)" \
            max="\(today.description)" aria-label="Another day"><button>Show</button></form>
            """
    }

    private var plots: HTML {
        guard !day.channels.isEmpty else { return "<p class=\"empty\">No readings in this period.</p>" }
        return "\(day.channels.map { channel in plot(channel) })"
    }

    private func plot(_ channel: DeviceDay.Channel) -> HTML {
        let known = channel.points.compactMap { point in
            point.power.map { SVGPlot.Point(minute: point.minute, value: $0) }
        }
        let readings = Figures.count(channel.points.count, "minute") + " with a reading"
        guard let last = known.last, let low = known.map(\.value).min(), let high = known.map(\.value).max() else {
            return SVGPlot(
                title: "Channel \(channel.number)", unit: "readings, UTC",
                summary: readings
                    + (day.database == .ok
                        ? ", which are not in the database yet." : "; their power values are unknown."),
                minutes: day.minutes, curve: .marks(channel.points.map(\.minute))
            ).html
        }
        // Divided one by one, since the sum of the powers that a message may claim need not be finite.
        let mean = known.reduce(0) { $0 + $1.value / Double(known.count) }
        let missing = channel.points.count - known.count
        return SVGPlot(
            title: "Channel \(channel.number)", unit: "power in W, UTC",
            summary: """
                \(readings). \(Figures.watts(low)) to \(Figures.watts(high)), mean \(Figures.watts(mean)), last \
                \(Figures.watts(last.value)) at \(Timestamp(minute: last.minute).readable(.minutes)) UTC.\
                \(missing > 0 ? " \(Figures.count(missing, "reading")) not in the database yet." : "")
                """,
            minutes: day.minutes, curve: .line(known)
        ).html
    }
}
