import Readings
import Time

/// The devices section of the status page.
extension StatusPage {
    var deviceSection: HTML {
        guard let devices else {
            return
                "<h2 id=\"devices-title\">Devices</h2><p class=\"empty\">The devices are unknown: the spool does not answer.</p>"
        }
        return """
            <div class="head"><h2 id="devices-title">Devices</h2>
            <form method="get" action="/#devices" role="search"><input type="search" name="search" \
            value="\(devices.query.search)" maxlength="128" aria-label="Part of a device's name" \
            placeholder="part of a name"><button>Search</button></form></div>
            <div id="device-list" data-live>\(found(devices))</div>
            """
    }

    private func found(_ list: DeviceList) -> HTML {
        var html: HTML = ""
        let isNarrowed = list.query != DeviceList.Query()
        if !list.query.search.isEmpty {
            html +=
                "<p>Devices with <q><bdi>\(list.query.search)</bdi></q> in the name.</p>"
        }
        if list.devices.isEmpty {
            html +=
                list.total == 0
                ? "<p class=\"empty\">None yet. A device appears with its first message.</p>"
                : "<p class=\"empty\">No devices match.</p>"
        } else {
            html += """
                <table class="list"><thead><tr><th scope="col">Device</th><th scope="col">Last reading</th>\
                <th scope="col">Channels, last power, last 24 h</th></tr></thead>\
                <tbody>\(list.devices.map { row($0, list) })</tbody></table>
                """
        }
        if list.database == .away, !list.devices.isEmpty {
            html +=
                "<p class=\"detail\">Power values are in the database, which does not answer; the curves show readings per hour instead.</p>"
        }
        let first: HTML? = isNarrowed ? "<a href=\"/#devices\">From the beginning</a>" : nil
        let next: HTML? = list.next.map { place in
            "<a rel=\"next\" href=\"\(DeviceList.Query(search: list.query.search, place: place).link)\">More devices</a>"
        }
        if first != nil || next != nil { html += "<nav aria-label=\"Pages of devices\">\(first) \(next)</nav>" }
        return html
    }

    private func row(_ device: DeviceSummary, _ list: DeviceList) -> HTML {
        let name = "\(device.device)"
        let badge: HTML? =
            switch device.state {
            case .silent: "<span class=\"badge\">silent</span> "
            case .withoutReadings: "<span class=\"badge\">no readings</span> "
            case .withoutMeter, .reporting: nil
            }
        return """
            <tr\(badge == nil ? nil : " class=\"silent\"" as HTML)><th scope="row"><a href="\(DeviceDayPage.link(name))"><bdi>\(name)</bdi></a></th>\
            <td>\(badge)\(lastReading(of: device))\(hearing(of: device))</td>\
            <td><ul class="channels">\(channels(of: device, list))</ul></td></tr>
            """
    }

    private func lastReading(of device: DeviceSummary) -> HTML {
        guard let minute = device.lastMinute else { return "none yet" }
        let time = Timestamp(minute: minute)
        let moment = time.readable(.minutes)
        return """
            <time datetime="\(moment)Z" title="\(moment) UTC">\(ago(time))</time>
            """
    }

    /// When a device was heard that gives no reading, and why it gives none.
    private func hearing(of device: DeviceSummary) -> HTML? {
        guard device.state.isWithoutReadings else { return nil }
        return """
            <span class="detail">heard \(ago(Timestamp(unixSeconds: device.last.time)))\(device.last.missing.map { "; " + $0.sentence(by: rules) } ?? "")</span>
            """
    }

    private func channels(of device: DeviceSummary, _ list: DeviceList) -> [HTML] {
        if list.database == .away, !device.channels.isEmpty {
            let numbers = device.channels.map { "\($0.number)" }.joined(separator: ", ")
            return [
                """
                <li><span class="channel all">\(numbers)</span>\(Sparkline(
                    values: device.activity.map(Double.init),
                    summary: "\(Figures.count(device.activity.reduce(0, +), "reading")) in 24 hours").html)</li>
                """
            ]
        }
        return device.channels.map { channel in
            let known = channel.hourlyPower.compactMap { $0 }
            let summary =
                if let low = known.min(), let high = known.max() {
                    "24 hours: \(Figures.watts(low)) to \(Figures.watts(high))"
                } else {
                    "no power in 24 hours"
                }
            return """
                <li><span class="channel">\(channel.number)</span><span class="power">\(channel.power.map { Figures.watts($0.watts) } ?? "–")</span>\
                \(Sparkline(values: channel.hourlyPower, summary: summary).html)</li>
                """
        }
    }
}
