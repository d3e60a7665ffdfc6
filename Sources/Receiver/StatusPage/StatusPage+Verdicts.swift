import Readings
import Time

/// The sentences at the top of the page, decided only here.
extension StatusPage {
    /// The receiver counts as idle after this time without a batch; a queue or a bridge sends one every few seconds or minutes.
    private static let quietTime = Duration.seconds(300)
    /// The loader counts as behind once the oldest record waits longer than this; a timer runs it every minute or so.
    private static let behindSeconds: Int64 = 300

    /// An untaken component is shown for so long.
    private static let untakenTime = Duration.seconds(86_400)

    var verdicts: [Verdict] {
        [readinessVerdict, databaseVerdict, deviceVerdict, missingVerdict, untakenVerdict, diskVerdict].compactMap {
            $0
        }
    }

    private var readinessVerdict: Verdict {
        switch readiness {
        case .ready: break
        case .silent:
            return Verdict(
                level: .failing, sentence: "Not ready to take data: the spool's disk does not answer.",
                detail: "Batches are answered with 503, and a sender with a queue keeps them.")
        case .refuses(let reason, let failure):
            return Verdict(
                level: .failing, sentence: "Not ready to take data: \(reason).",
                detail: "\(failure ?? "Batches are refused, and a sender with a queue keeps them.")")
        }
        guard let last = batches.first else {
            return Verdict(
                level: .idle,
                sentence: "Ready, but no batch has come since the start, \(ago(startedAt)).")
        }
        let isQuiet = now - last.receivedAt >= Self.quietTime
        return isQuiet
            ? Verdict(
                level: .attention, sentence: "Ready, but no batch has come for \(Age(now - last.receivedAt)).",
                detail: "Does the sender deliver?")
            : Verdict(level: .good, sentence: "Taking data: last batch \(ago(last.receivedAt)).")
    }

    private var databaseVerdict: Verdict {
        switch database {
        case .away(let reason):
            return Verdict(
                level: .failing, sentence: "Database unavailable: " + pending,
                detail: "\(reason)")
        case .refuses(let reason):
            return Verdict(
                level: .failing,
                sentence: "Database answers, but its table cannot be read: " + pending,
                detail: "\(reason)")
        case .connecting:
            return Verdict(level: .idle, sentence: "Connecting to the database: " + pending)
        case .answers:
            guard let spool else {
                return Verdict(level: .failing, sentence: "Database answers, but the spool cannot be read.")
            }
            guard let age = oldestSeconds, spool.backlog.records > 0 else {
                return Verdict(level: .good, sentence: "Database is up to date: no record is pending.")
            }
            guard age >= Self.behindSeconds + databaseSleepSeconds else {
                return Verdict(level: .good, sentence: "Database is \(Age(seconds: age)) behind.")
            }
            return Verdict(
                level: .attention, sentence: "Database answers, but the loader is behind: " + waiting(spool),
                detail: spool.lastDrain.map { "The loader last finished \(ago($0))." } ?? "Is the loader running?")
        }
    }

    private var deviceVerdict: Verdict? {
        guard let devices else {
            return Verdict(level: .attention, sentence: "Device states are unknown: the spool does not answer.")
        }
        if devices.total == 0 { return Verdict(level: .idle, sentence: "No device has reported yet.") }
        if devices.silent == 0 {
            if devices.withoutReadings > devices.withoutMeter { return nil }
            let reporting = devices.total - devices.withoutMeter
            if reporting == 0 { return Verdict(level: .idle, sentence: "No device with a meter has reported yet.") }
            let kind = devices.withoutMeter > 0 ? " with a meter" : ""
            return Verdict(
                level: .good,
                sentence: reporting == 1
                    ? "The only device\(kind) reports." : "All \(Figures.grouped(reporting)) devices\(kind) report.")
        }
        let verb = devices.silent == 1 ? "is" : "are"
        return Verdict(
            level: .attention,
            sentence:
                "\(Figures.grouped(devices.silent)) of \(Figures.count(devices.total, "device")) \(verb) silent.",
            detail: namesOfSilent(devices))
    }

    /// The devices that are heard and give no reading, though they have a meter; some with the reason.
    private var missingVerdict: Verdict? {
        guard let devices, devices.withoutReadings > devices.withoutMeter else { return nil }
        let count = devices.withoutReadings - devices.withoutMeter
        var detail: HTML = "No reading for \(Age(seconds: Int64(devices.silentAfterSeconds)).description) or longer"
        for (index, device) in devices.named(.withoutReadings).enumerated() {
            let since = device.lastMinute.map { "since \(Timestamp(minute: $0).readable(.minutes)) UTC" } ?? "never one"
            let reason = device.last.missing.map { ": " + $0.sentence(by: rules) } ?? ""
            detail += "\(index == 0 ? ": " : "; ")\(link(to: device)) (\(since)\(reason))"
        }
        let verb = count == 1 ? "is" : "are"
        return Verdict(
            level: .attention,
            sentence: """
                \(Figures.grouped(count)) of \(Figures.count(devices.total, "device")) \(verb) heard, \
                but without readings.
                """,
            detail: detail)
    }

    private func link(to device: DeviceSummary) -> HTML {
        let name = "\(device.device)"
        return "<a href=\"\(DeviceDayPage.link(name))\"><bdi>\(name)</bdi></a>"
    }

    /// Components that were untaken in the last hours, by type, with some of their devices.
    private var untakenVerdict: Verdict? {
        let recent = untaken.filter { now - $0.receivedAt < Self.untakenTime }
        guard !recent.isEmpty else { return nil }
        let types = UntakenComponent.ComponentType.allCases.filter { type in recent.contains { $0.component == type } }
        let devices = Set(recent.map(\.device)).count
        var details: [HTML] = []
        func add(_ entries: [RecentDevices.Entry], _ remedy: ([RecentDevices.Entry]) -> String) {
            if !entries.isEmpty { details.append("\(some(of: entries)): \(remedy(entries)). ") }
        }
        add(recent.filter { $0.lacking != nil }) { rules.remedy(adding: $0.compactMap(\.lacking)) }
        add(recent.filter { $0.lacking == nil && $0.component != .other }) { $0[0].component.obstacle }
        add(recent.filter { $0.component == .other }) { $0[0].component.obstacle }
        return Verdict(
            level: .attention,
            sentence:
                "\(Figures.count(devices, "device")) \(devices == 1 ? "sends" : "send") power that becomes no reading: "
                + types.map(\.rawValue).joined(separator: ", ") + ".",
            detail: "\(details)")
    }

    /// The newest devices with their components.
    private func some(of entries: [RecentDevices.Entry]) -> HTML {
        var names: HTML = ""
        for (index, entry) in entries.suffix(3).reversed().enumerated() {
            names += "\(index == 0 ? "" : ", ")<bdi>\("\(entry.device)")</bdi> (\(entry.component.rawValue))"
        }
        if entries.count > 3 { names += " and \(entries.count - 3) more" }
        return names
    }

    private var diskVerdict: Verdict? {
        risk.map { Verdict(level: .attention, sentence: "Acknowledged readings can be lost.", detail: "\($0).") }
    }

    /// Some of the silent devices' names, so that a reader need not search when there are few.
    private func namesOfSilent(_ list: DeviceList) -> HTML {
        let named = list.named(.silent)
        var detail: HTML = "No message for \(Age(seconds: Int64(list.silentAfterSeconds)).description) or longer"
        for (index, device) in named.enumerated() {
            detail += "\(index == 0 ? ": " : ", ")\(link(to: device))"
        }
        let left = list.silent - named.count
        if !named.isEmpty, left > 0 { detail += " and \(Figures.grouped(left)) more" }
        return detail
    }

    /// The records that the spool keeps for the database, if the spool can be read.
    private var pending: String {
        spool.map { waiting($0) + " Nothing is lost." } ?? "the spool cannot be read."
    }

    /// `1,234 records are pending in the spool, the oldest for 4 min.`
    private func waiting(_ spool: SpoolStatistics) -> String {
        let records = spool.backlog.records
        guard let age = oldestSeconds, records > 0 else { return "no record is pending." }
        let oldest = Age(seconds: age)
        return records == 1
            ? "1 record is pending in the spool, for \(oldest)."
            : "\(Figures.grouped(records)) records are pending in the spool, the oldest for \(oldest)."
    }

    var oldestSeconds: Int64? { spool?.backlog.oldestAgeSeconds.map { Int64(min($0, 1e12)) } }

    func ago(_ time: Timestamp) -> String { "\(Age(now - time)) ago" }
}

extension DeviceList {
    /// Some devices of a state, unless only a part of the list was requested.
    fileprivate func named(_ state: DeviceState) -> some Collection<DeviceSummary> {
        (query == Query() ? devices : []).filter { $0.state == state }.prefix(3)
    }
}
