import Foundation
import Readings
import Testing
import Time

@testable import Receiver

/// Replaces the description with all fields, which would fill pages of the tests' log.
extension StatusPage: CustomTestStringConvertible {
    public var testDescription: String { "a status page" }
}

/// The text of the pages in every state.
struct StatusPageTests {
    static let now = Timestamp(unixSeconds: 1_795_567_923)
    static let minute = now.minute
    static let day = minute - 1439..<minute + 1

    static func device(
        _ name: String, silent: Bool = false, power: Double? = 8.9
    ) throws -> DeviceSummary {
        let last = silent ? minute - 437 : minute
        return DeviceSummary(
            device: try DeviceID(name), last: LastMessage(time: last * 60, missing: nil), lastMinute: last,
            state: silent ? .silent : .reporting,
            channels: [
                .init(
                    number: 0, lastMinute: last, power: power.map { MinutePower(minute: last, watts: $0) },
                    hourlyPower: [Double?](repeating: power, count: 24))
            ], activity: [Int](repeating: 60, count: 24))
    }

    static func list(
        _ devices: [DeviceSummary], total: Int? = nil, database: DatabaseState = .ok, search: String = "",
        next: DeviceList.Cursor? = nil
    ) -> DeviceList {
        DeviceList(
            devices: devices, total: total ?? devices.count, silent: devices.count { $0.state == .silent },
            withoutReadings: devices.count { $0.state.isWithoutReadings },
            withoutMeter: devices.count { $0.state == .withoutMeter },
            silentAfterSeconds: 900, database: database, query: DeviceList.Query(search: search), next: next)
    }

    static func spool(records: Int = 0, oldest: Double? = nil, drainedAgo: Int64? = nil) -> SpoolStatistics {
        var spool = SpoolStatistics(
            spool: "test", diskAvailableBytes: 63 << 30, lastDrain: drainedAgo.map { now - .seconds($0) }, devices: 1,
            ledgerBytes: 1)
        spool.backlog.records = records
        spool.backlog.oldestAgeSeconds = oldest
        return spool
    }

    static func batch(ago seconds: Int64) -> RecentBatches.Entry {
        RecentBatches.Entry(
            receivedAt: now - .seconds(seconds), messages: 3, inserted: 2, duplicates: 1, errors: 0, seconds: 0.0012)
    }

    static func page(
        readiness: StatusPage.ReadinessState = .ready, database: StatusPage.DatabaseStatus = .answers(rows: 0),
        spool: SpoolStatistics? = spool(), history: ReadingHistory? = nil, devices: DeviceList? = list([]),
        backlog: BacklogHistory = BacklogHistory(), batches: [RecentBatches.Entry] = [batch(ago: 3)],
        refusals: [Rejection.Reason: Int] = [:], risk: String? = nil, databaseSleepSeconds: Int64 = 0
    ) -> StatusPage {
        StatusPage(
            now: now, startedAt: now - .seconds(200), readiness: readiness, database: database, spool: spool,
            backlog: backlog,
            history: history ?? ReadingHistory(minutes: day, counts: [Int](repeating: 0, count: 1440)),
            devices: devices, batches: batches, refusals: refusals, risk: risk,
            databaseSleepSeconds: databaseSleepSeconds)
    }

    private static let away = StatusPage.DatabaseStatus.away("database unavailable: <refused>")

    @Test(
        arguments: [
            (page(), 0, Verdict.Level.good, "Taking data: last batch 3 s ago."),
            (page(batches: []), 0, .idle, "Ready, but no batch has come since the start, 3 min ago."),
            (page(batches: [batch(ago: 299)]), 0, .good, "Taking data: last batch 4 min ago."),
            (page(batches: [batch(ago: 300)]), 0, .attention, "Ready, but no batch has come for 5 min."),
            (
                page(readiness: .refuses("INGEST_API_KEY is not configured", failure: nil)), 0, .failing,
                "Not ready to take data: INGEST_API_KEY is not configured."
            ),
            (page(readiness: .silent), 0, .failing, "Not ready to take data: the spool's disk does not answer."),
            (page(), 1, .good, "Database is up to date: no record is pending."),
            (page(spool: spool(records: 5, oldest: 12.9)), 1, .good, "Database is 12 s behind."),
            (
                page(spool: spool(records: 1234, oldest: 300, drainedAgo: 290)), 1, .attention,
                "Database answers, but the loader is behind: 1,234 records are pending in the spool, the oldest for 5 min."
            ),
            (
                page(spool: spool(records: 1234, oldest: 1199, drainedAgo: 1000), databaseSleepSeconds: 900), 1, .good,
                "Database is 19 min behind."
            ),
            (page(spool: nil), 1, .failing, "Database answers, but the spool cannot be read."),
            (
                page(database: away, spool: spool(records: 1234, oldest: 251)), 1, .failing,
                "Database unavailable: 1,234 records are pending in the spool, the oldest for 4 min. Nothing is lost."
            ),
            (
                page(database: away, spool: spool(records: 1, oldest: 1)), 1, .failing,
                "Database unavailable: 1 record is pending in the spool, for 1 s. Nothing is lost."
            ),
            (page(database: away), 1, .failing, "Database unavailable: no record is pending. Nothing is lost."),
            (
                page(database: .connecting, spool: spool(records: 2, oldest: 60)), 1, .idle,
                "Connecting to the database: 2 records are pending in the spool, the oldest for 1 min. Nothing is lost."
            ),
            (page(database: away, spool: nil), 1, .failing, "Database unavailable: the spool cannot be read."),
            (
                page(database: .refuses("42P01"), spool: spool(records: 2, oldest: 60)), 1, .failing,
                "Database answers, but its table cannot be read: 2 records are pending in the spool, the oldest for 1 min. "
                    + "Nothing is lost."
            ),
            (page(), 2, .idle, "No device has reported yet."),
            (page(risk: "tmpfs lies in memory"), 3, .attention, "Acknowledged readings can be lost."),
            (page(devices: nil), 2, .attention, "Device states are unknown: the spool does not answer."),
        ] as [(StatusPage, Int, Verdict.Level, String)])
    func eachStateHasItsSentence(page: StatusPage, index: Int, level: Verdict.Level, sentence: String) {
        #expect(page.verdicts[index].level == level && page.verdicts[index].sentence == sentence)
        #expect(page.html.markup.contains(sentence.replacingOccurrences(of: "'", with: "&#39;")))
    }

    @Test func theBacklogIsPlottedWithItsGaps() {
        let minute = Self.minute
        var backlog = BacklogHistory()
        for (ago, records) in [(2000, 9000), (1439, 7), (10, 1234), (9, 1300), (0, 0)] as [(Int64, Int)] {
            backlog.append(.init(minute: minute - ago, records: records, oldestSeconds: Double(records)))
        }
        #expect(backlog.samples.map(\.records) == [7, 1234, 1300, 0])
        let html = Self.page(backlog: backlog).html.markup
        #expect(html.contains("At most 1,300 records pending since the start 3 min ago."))
        #expect(html.contains("At most 21 min since the start 3 min ago."))
        #expect(Self.page().html.markup.contains("None pending since the start 3 min ago."))
        // The clock was set back.
        backlog.append(.init(minute: minute - 10, records: 1, oldestSeconds: 1))
        #expect(backlog.samples.map(\.records) == [7, 1])
    }

    @Test func silentDevicesAreCountedNamedAndMarked() throws {
        let silent = try (0..<3).map { try Self.device("quiet-\($0)", silent: true) }
        let reporting = try (0..<2).map { try Self.device("plug-\($0)") }
        let html = Self.page(devices: Self.list(silent + reporting, total: 120)).html.markup
        #expect(html.contains("3 of 120 devices are silent."))
        #expect(html.contains("No message for 15 min or longer: <a href=\"/devices/quiet-0\">"))
        #expect(html.components(separatedBy: ">silent</span>").count == 1 + 3)
        #expect(html.contains("7 h 17 min ago"))
        #expect(Self.page(devices: Self.list(reporting)).verdicts[2].sentence == "All 2 devices report.")
        #expect(Self.page(devices: Self.list([reporting[0]])).verdicts[2].sentence == "The only device reports.")
        let one = Self.page(devices: Self.list([silent[0]] + reporting)).verdicts[2]
        #expect(one.sentence == "1 of 3 devices is silent." && one.level == .attention)
    }

    @Test func devicesWithoutReadingsAreNamedWithTheReason() throws {
        func device(_ name: String, _ missing: MissingReading?, lastMinute: Int64?) throws -> DeviceSummary {
            DeviceSummary(
                device: try DeviceID(name), last: LastMessage(time: Self.now.unixSeconds - 3, missing: missing),
                lastMinute: lastMinute, state: .withoutReadings, channels: [], activity: [])
        }
        let broken = try device("meter", .init(.null, .switch, number: 0), lastMinute: Self.minute - 437)
        let untaken = try device("pm", .init(.untaken, .pm1, number: 0), lastMinute: nil)
        let page = Self.page(devices: Self.list([broken, untaken, try Self.device("plug")]))
        #expect(page.verdicts[2].sentence == "2 of 3 devices are heard, but without readings.")
        let html = page.html.markup
        #expect(html.contains("(since 2026-11-24 17:35 UTC: the meter of switch:0 is broken: its power is null)"))
        #expect(html.contains("(never one: its power is in pm1:0; add pm1 to INGEST_COMPONENTS)"))
        #expect(html.components(separatedBy: ">no readings</span>").count == 1 + 2)
        #expect(html.contains("none yet<span class=\"detail\">heard 3 s ago; its power is in pm1:0"))
        #expect(!html.contains("devices report."))
        let day = DeviceDay(
            device: try DeviceID("pm"), last: untaken.last, lastMinute: nil, state: .withoutReadings,
            minutes: Self.day, channels: [], database: .ok)
        let own = DeviceDayPage(now: Self.now, day: day, date: nil).html.markup
        #expect(own.contains("Heard 3 s ago, but without readings.") && own.contains("Reason: its power is in pm1:0"))
    }

    @Test func untakenPowerHasItsFix() throws {
        func entry(_ name: String, _ type: UntakenComponent.ComponentType, lacking: Bool) throws -> RecentDevices.Entry
        {
            RecentDevices.Entry(
                device: try DeviceID(name), component: type, lacking: lacking ? type.component : nil,
                receivedAt: Self.now - .seconds(60))
        }
        var page = Self.page()
        page.untaken = [
            try entry("mini", .pm1, lacking: true), try entry("three", .em, lacking: true),
            try entry("both", .pm1, lacking: false), try entry("new", .other, lacking: false),
        ]
        let verdict = try #require(page.verdicts.first { $0.sentence.contains("becomes no reading") })
        #expect(verdict.sentence == "4 devices send power that becomes no reading: pm1, em, other.")
        let detail = try #require(verdict.detail?.markup)
        #expect(detail.contains("<bdi>three</bdi> (em), <bdi>mini</bdi> (pm1): set INGEST_COMPONENTS=switch,pm1,em, "))
        #expect(detail.contains("run &#39;shelly-loader replay --components switch,pm1,em&#39;"))
        #expect(detail.contains("<bdi>both</bdi> (pm1): adding the component does not help"))
        #expect(detail.contains("<bdi>new</bdi> (other): no setting takes"))
    }

    @Test(arguments: [
        (MissingReading(.untaken, .pm1, number: 0), "its power is in pm1:0; add pm1 to INGEST_COMPONENTS"),
        (MissingReading(.untaken, .pm1, number: 4), "its power is in pm1:4, which has none of the channels 0 to 3"),
        (
            MissingReading(.untaken, .switch, number: 0),
            "its power is in switch:0, which INGEST_COMPONENTS did not take"
        ),
        (MissingReading(.untaken, .other), "its power is in a component; no setting takes this type"),
    ])
    func untakenPowerHasAReason(missing: MissingReading, sentence: String) {
        #expect(missing.sentence(by: .standard).hasPrefix(sentence))
    }

    @Test func aDeviceWithoutAMeterIsNotAFault() throws {
        let display = DeviceSummary(
            device: try DeviceID("display"), last: LastMessage(time: Self.now.unixSeconds, missing: .init(.noPower)),
            lastMinute: nil, state: .withoutMeter, channels: [], activity: [])
        func verdict(_ devices: [DeviceSummary]) -> Verdict { Self.page(devices: Self.list(devices)).verdicts[2] }
        let both = verdict([display, try Self.device("plug")])
        #expect(both.sentence == "The only device with a meter reports." && both.level == .good)
        #expect(verdict([display]).sentence == "No device with a meter has reported yet.")
        let html = Self.page(devices: Self.list([display])).html.markup
        #expect(html.contains("its messages have no power") && !html.contains("class=\"badge\""))
    }

    @Test func theTitleNamesTheWorstState() {
        #expect(Self.page().html.markup.contains("<title>OK · Shelly Collector</title>"))
        let away = Self.page(database: Self.away, spool: Self.spool(records: 2, oldest: 9)).html.markup
        let title = "Database unavailable: 2 records are pending in the spool, the oldest for 9 s. Nothing is lost."
        #expect(away.contains("<title>\(title) · "))
        #expect(away.contains("database unavailable: &lt;refused&gt;"))
    }

    @Test func withoutTheDatabaseTheListShowsTheSpoolsData() throws {
        let devices = Self.list([try Self.device("plug", power: nil)], database: .away)
        let html = Self.page(database: Self.away, devices: devices).html.markup
        #expect(html.contains("1,440 readings in 24 hours") && html.contains("which does not answer"))
        #expect(!html.contains(" W</span>"))
        let silent = DeviceSummary(
            device: try DeviceID("mini"), last: LastMessage(time: Self.now.unixSeconds, missing: .init(.noPower)),
            lastMinute: nil, state: .withoutReadings, channels: [], activity: [Int](repeating: 0, count: 24))
        let channels = Self.page(devices: Self.list([silent], database: .away)).html.markup
        #expect(channels.contains("<ul class=\"channels\"></ul>"))
    }

    @Test func batchesAndRefusalsAreListed() {
        let html = Self.page(refusals: [.unauthorized: 1204, .invalid: 3, .timeout: 0]).html.markup
        #expect(html.contains("<td>1.2 ms</td>") && html.contains(">00:52:00</time>"))
        #expect(
            html.contains("<td>Key missing or wrong</td><td>1,204</td></tr><tr><td>Not a valid batch</td><td>3</td>"))
        #expect(!html.contains("Too slow to arrive"))
    }

    /// Names and search texts with everything that could break a page.
    static let hostile = [
        "<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "'-alert(3)-'", "</title><b>", "<!--", "]]>",
        "\u{202E}gnp\u{202C}", String(repeating: "😀", count: 32), "a/b?c#d%2F&e=+", "..", "javascript:alert(4)",
        "&lt;i&gt;", "${x}`", "\u{2066}سخّان",
    ]

    @Test(arguments: hostile)
    func noNameAddsMarkupToAPage(name: String) throws {
        func tags(_ html: HTML) -> [String] {
            html.markup.split(separator: "<").dropFirst().map { String($0.prefix { !" >\n".contains($0) }) }
        }
        func overview(_ name: String) throws -> HTML {
            Self.page(
                database: .away(name), devices: Self.list([try Self.device(name, silent: true)], search: name)
            ).html
        }
        func devicePage(_ name: String) throws -> HTML {
            let day = DeviceDay(
                device: try DeviceID(name), last: LastMessage(time: Self.minute * 60, missing: nil),
                lastMinute: Self.minute, state: .reporting, minutes: Self.day,
                channels: [.init(number: 0, points: [.init(minute: Self.minute, power: 1)])], database: .ok)
            return DeviceDayPage(now: Self.now, day: day, date: nil).html
        }
        #expect(try tags(overview(name)) == tags(overview("plug")))
        // A name that a path cannot hold is in a hidden field of the form for another day.
        #expect(
            try tags(devicePage(name)).filter { $0 != "input" } == tags(devicePage("plug")).filter { $0 != "input" })
        for html in [try overview(name), try devicePage(name)] {
            #expect(!html.markup.contains("\u{202E}") && !html.markup.contains("\u{2066}"))
        }
    }

    @Test(arguments: hostile)
    func aLinkLeadsToTheDevice(name: String) throws {
        let link = DeviceDayPage.link(name)
        // The URL that a browser makes of it.
        let url = try #require(URL(string: link, relativeTo: URL(string: "http://localhost:8080/x")!)?.standardized)
        let query = try QueryParameters(url.query(percentEncoded: true))
        let path = url.path(percentEncoded: true)
        #expect(path.hasPrefix("/devices/"))
        let found = path == "/devices/" ? query["id"] : String(percentEncoded: path.dropFirst("/devices/".count))
        #expect(found == name)
        #expect(DeviceDayPage.link(name, CalendarDay(number: 20_781)).hasSuffix("day=2026-11-24"))
    }

    @Test func aDaysPageShowsPowersGapsAndMissingReadings() throws {
        func html(_ powers: [Double?], _ database: DatabaseState, date: CalendarDay? = nil) throws -> String {
            let points = powers.enumerated().map {
                DeviceDay.MinuteReading(minute: Self.day.lowerBound + Int64($0.offset), power: $0.element)
            }
            let day = DeviceDay(
                device: try DeviceID("plug"), last: LastMessage(time: Self.now.unixSeconds - 1800, missing: nil),
                lastMinute: Self.minute - 30, state: .silent, minutes: Self.day,
                channels: [.init(number: 2, points: points)], database: database)
            return DeviceDayPage(now: Self.now, day: day, date: date).html.markup
        }
        let known = try html([1, 3, nil], .ok, date: CalendarDay(number: 20_781))
        #expect(known.contains("Channel 2") && known.contains("Silent: last heard 30 min ago."))
        #expect(known.contains("3 minutes with a reading. 1.0 W to 3.0 W, mean 2.0 W"))
        #expect(known.contains("1 reading not in the database yet."))
        #expect(known.contains("href=\"/devices/plug?day=2026-11-23\"") && known.contains("?day=2026-11-25"))
        let away = try html([nil, nil], .away)
        #expect(away.contains("Database unavailable"))
        #expect(away.contains("class=\"marks\"") && !away.contains("class=\"line\""))
        // Extreme powers, which a message may claim.
        #expect(try html([1.7e308, -1.7e308], .ok).contains("mean 0.0 W"))
    }

    @Test func everyPageAllowsOnlyItsOwnStyleAndScript() throws {
        let policy = HTMLPage.contentSecurityPolicy
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"))
        let html = Self.page(devices: Self.list([try Self.device("plug")])).html.markup
        #expect(
            html.components(separatedBy: "<script>").count == 2 && html.components(separatedBy: "<style>").count == 2)
        #expect(!html.contains(" style=\"") && !html.contains(" onclick"))
    }

    @Test func theLastTwentyBatchesAreKept() {
        var recent = RecentBatches()
        #expect(recent.newestFirst.isEmpty)
        for age in (0..<47).reversed() { recent.append(Self.batch(ago: Int64(age))) }
        #expect(recent.newestFirst == (0..<20).map { Self.batch(ago: Int64($0)) })
        recent.append(Self.batch(ago: -1))
        #expect(recent.newestFirst.first == Self.batch(ago: -1) && recent.newestFirst.count == 20)
    }
}
