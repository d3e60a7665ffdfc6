import Postgres
import Readings
import Time

/// The page at `/`: an overview of the receiver.
///
/// It shows whether data is accepted, whether it reaches the database, how far behind the database is, and which
/// devices stopped reporting. A value; its data was gathered before.
struct StatusPage: Sendable {
    let now: Timestamp
    let startedAt: Timestamp
    let readiness: ReadinessState
    let database: DatabaseStatus
    /// nil when the spool cannot be read, or its disk does not respond.
    let spool: SpoolStatistics?
    let backlog: BacklogHistory
    /// nil when the spool's disk does not respond, like `devices`.
    let history: ReadingHistory?
    let devices: DeviceList?
    /// The newest first.
    let batches: [RecentBatches.Entry]
    let refusals: [Rejection.Reason: Int]
    /// Devices with a component whose power becomes no reading, since the start.
    var untaken: [RecentDevices.Entry] = []
    /// The receiver's reading rules.
    var rules = ReadingRules.standard
    /// Why acknowledged readings can be lost where the spool lies, nil if they cannot.
    let risk: String?
    /// Time for which the loader leaves the database alone after each load.
    var databaseSleepSeconds: Int64 = 0

    /// Whether batches would be accepted now and in the near future, as in `/readyz`.
    enum ReadinessState: Sendable {
        case ready
        /// The reason, and why the last attempt to write to the spool failed, if it did.
        case refuses(String, failure: String?)
        /// The spool's disk does not respond.
        case silent
    }

    /// The database's answer to the receiver; the loader has its own connection.
    enum DatabaseStatus: Sendable {
        /// Rows of the last 24 hours, and how old that number is; nil while they are counted for the first time.
        case answers(rows: Int?, age: Duration = .zero)
        /// The database answers, but the table cannot be read.
        case refuses(String)
        case away(String)
        /// The database is accepting the connection, or it is not known yet whether it will.
        case connecting

        init(_ outcome: StatisticsMemory.Outcome) {
            switch outcome {
            case .statistics(let statistics, let age): self = .answers(rows: statistics.totalLogs, age: age)
            case .counting: self = .answers(rows: nil)
            case .connecting: self = .connecting
            case .failure(let error) where error.sqlState != nil && !error.isTemporary:
                self = .refuses(error.description)
            case .failure(.unavailable(let reason)): self = .away(reason)
            case .failure(let error): self = .away(error.description)
            }
        }
    }

    var html: HTML {
        let verdicts = verdicts
        let worst = verdicts.map(\.level).max() ?? .idle
        let headline = verdicts.first { $0.level == worst }?.sentence ?? ""
        return HTMLPage(
            title: (worst <= .idle ? "OK" : headline) + " · Shelly Collector", level: worst, now: now,
            content: """
                <header><h1>Shelly Collector</h1>\(HTMLPage.made(at: now))</header>
                <main>
                <ul id="verdicts" data-live class="verdicts" aria-label="State">\(verdicts.map(\.html))</ul>
                <dl id="facts" data-live class="facts">\(facts)</dl>
                <section aria-label="Readings"><div id="history" data-live>\(plot)</div></section>
                <div class="columns halves">
                <section aria-label="Backlog"><div id="backlog" data-live>\(backlogPlot)</div></section>
                <section aria-label="Age of the backlog"><div id="age" data-live>\(agePlot)</div></section>
                </div>
                <section class="devices" id="devices" aria-labelledby="devices-title">\(deviceSection)</section>
                <div class="columns">
                <section aria-labelledby="batches-title"><h2 id="batches-title">Last batches</h2>
                <div id="batches" data-live class="scroll">\(batchTable)</div></section>
                <section aria-labelledby="refusals-title"><h2 id="refusals-title">Refusals</h2>
                <div id="refusals" data-live class="scroll">\(refusalTable)</div></section>
                </div>
                </main>
                """
        ).html
    }

}
