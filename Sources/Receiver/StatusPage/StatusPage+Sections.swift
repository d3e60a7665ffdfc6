import Text
import Time

/// The sections below the verdicts.
extension StatusPage {
    var facts: [HTML] {
        var facts: [HTML] = []
        func add(_ name: String, _ value: String, _ detail: String? = nil) {
            facts.append(
                "<div><dt>\(name)</dt><dd>\(value)\(detail.map { "<span class=\"detail\">\($0)</span>" })</dd></div>")
        }
        if let recentRate { add("Readings a minute", recentRate, "mean over 15 minutes") }
        if let spool {
            let backlog = spool.backlog
            add(
                "Backlog", Figures.count(backlog.records, "record"),
                backlog.records == 0 ? "none pending" : "\(backlog.bytes.inBytes) in the spool")
            add("Oldest pending", oldestSeconds.map { Age(seconds: $0).description } ?? "–")
            add("Loader", spool.lastLoad.map(ago) ?? "never", "last load")
        }
        switch database {
        case .away, .refuses: break
        case .connecting: add("Database", "–", "connecting, to count the rows of the last 24 h")
        case .answers(let rows, let age):
            let seconds = age.components.seconds
            add(
                "Database", rows.map { Figures.count($0, "row") } ?? "–",
                rows == nil
                    ? "rows of the last 24 h are being counted"
                    : "of the last 24 h" + (seconds < 60 ? "" : ", \(Age(seconds: seconds)) ago"))
        }
        if let spool {
            add("Disk", spool.diskAvailableBytes.inBytes, "free for the spool")
            if spool.deadLetterBytes > 0 {
                add("Dead letters", spool.deadLetterBytes.inBytes, "in rejected/")
            }
        }
        return facts
    }

    /// The rate of the last 15 minutes that are over, since the newest minutes are still filling.
    private var recentRate: String? {
        guard let counts = history?.counts.dropLast().suffix(15), !counts.isEmpty else { return nil }
        let mean = Double(counts.reduce(0, +)) / Double(counts.count)
        return mean >= 10 ? Figures.grouped(Int(mean.rounded())) : Figures.fixed(mean, 1)
    }

    var plot: HTML {
        guard let history else { return "<p>The readings are unknown: the spool does not answer.</p>" }
        let total = history.counts.reduce(0, +)
        let without = history.counts.reduce(0) { $0 + ($1 == 0 ? 1 : 0) }
        let highest = history.counts.max() ?? 0
        let peak = history.counts.lastIndex(of: highest).map { history.minutes.lowerBound + Int64($0) }
        let summary =
            total == 0
            ? "No readings in the last 24 hours."
            : """
            \(Figures.count(total, "reading")) in the last 24 hours, at most \(Figures.grouped(highest)) in a minute \
            (\(peak.map { Timestamp(minute: $0).readable(.minutes) } ?? "") UTC), \(Figures.count(without, "minute")) without any.
            """
        return SVGPlot(
            title: "Readings per minute", unit: "UTC", summary: summary, minutes: history.minutes,
            curve: .columns(history.counts)
        ).html
    }

    var backlogPlot: HTML {
        let most = backlog.samples.map(\.records).max() ?? 0
        return plotOfBacklog(
            "Pending records", unit: "UTC", isCount: true,
            most == 0 ? "None pending" : "At most \(Figures.count(most, "record")) pending"
        ) { Double($0.records) }
    }

    var agePlot: HTML {
        let oldest = backlog.samples.map(\.oldestSeconds).max() ?? 0
        return plotOfBacklog(
            "Age of the oldest", unit: "minutes, UTC",
            oldest == 0 ? "None pending" : "At most \(Age(seconds: Int64(min(oldest, 1e12))))"
        ) { $0.oldestSeconds / 60 }
    }

    /// Plots the same 24 hours as the readings; the process has samples only since its start.
    private func plotOfBacklog(
        _ title: String, unit: String, isCount: Bool = false, _ summary: String,
        _ value: (BacklogHistory.Sample) -> Double
    ) -> HTML {
        let end = now.minute + 1
        return SVGPlot(
            title: title, unit: unit,
            summary: "\(summary)\(now - startedAt < .seconds(86_400) ? " since the start \(ago(startedAt))" : "").",
            minutes: (end - 1440)..<end,
            curve: .line(backlog.samples.map { SVGPlot.Point(minute: $0.minute, value: value($0)) }), isCount: isCount
        ).html
    }

    var batchTable: HTML {
        guard !batches.isEmpty else { return "<p class=\"empty\">None since the start \(ago(startedAt)).</p>" }
        return """
            <table class="figures"><thead><tr><th scope="col">Received, UTC</th><th scope="col">Messages</th>\
            <th scope="col">New</th><th scope="col">Duplicate</th><th scope="col">Errors</th><th scope="col">Took</th></tr>\
            </thead><tbody>\(batches.map(row))</tbody></table>
            """
    }

    private func row(_ batch: RecentBatches.Entry) -> HTML {
        let moment = batch.receivedAt.readable(.seconds)
        let isToday = batch.receivedAt.day == now.day
        return """
            <tr><td><time datetime="\(moment)Z">\(isToday ? moment.suffix(8) : moment[...])</time></td><td>\(Figures.grouped(batch.messages))</td>\
            <td>\(Figures.grouped(batch.inserted))</td><td>\(Figures.grouped(batch.duplicates))</td>\
            <td\(batch.errors > 0 ? " class=\"wrong\"" as HTML : "")>\(Figures.grouped(batch.errors))</td>\
            <td>\(Figures.duration(seconds: batch.seconds))</td></tr>
            """
    }

    var refusalTable: HTML {
        let counted = refusals.filter { $0.value > 0 }.sorted {
            ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue)
        }
        guard !counted.isEmpty else { return "<p class=\"empty\">None since the start \(ago(startedAt)).</p>" }
        return """
            <table class="figures"><thead><tr><th scope="col">Reason</th><th scope="col">Count</th></tr></thead>\
            <tbody>\(counted.map { reason, count -> HTML in
                "<tr><td>\(reason.sentence)</td><td>\(Figures.grouped(count))</td></tr>"
            })</tbody></table><p class="detail">Since the start \(ago(startedAt)).</p>
            """
    }
}

extension Rejection.Reason {
    /// The text for people.
    fileprivate var sentence: String {
        switch self {
        case .unauthorized: "Key missing or wrong"
        case .misconfigured: "No ingest key is configured"
        case .method: "Method is not POST"
        case .encoding: "Content encoding not supported"
        case .malformed: "Not a valid HTTP request"
        case .invalid: "Not a valid batch"
        case .timeout: "Too slow to arrive"
        case .busy: "Too much in flight"
        case .connections: "Too many connections"
        case .tooLarge: "Body too large"
        case .spoolFull: "Spool full"
        case .spoolFailing: "Spool cannot be written"
        case .diskStalled: "Disk does not answer"
        case .ledgerFull: "Ledger full"
        case .stopping: "Receiver was stopping"
        }
    }
}
