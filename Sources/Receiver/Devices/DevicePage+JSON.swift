import Text
import Time

extension DevicePage {
    /// The body of `GET /api/devices`.
    var json: String {
        JSONText { json in
            json.add("devices", devices) { $0.add($1) }
            json.add("next", next?.description)
            json.add("total", total)
            json.add("silent", silent)
            json.add("matching", matching)
            json.add("silent_after_seconds", silentAfterSeconds)
            json.add("database", database.rawValue)
        }.text
    }
}

extension DeviceDay {
    /// The body of `GET /api/devices/{id}`.
    var json: String {
        JSONText { json in
            json.add("id", device.description)
            json.add("last_seen", minute: lastMinute)
            json.add("silent", isSilent)
            json.add("from", minute: minutes.lowerBound)
            json.add("to", minute: minutes.upperBound)
            json.add("channels", channels) { json, channel in
                json.add("channel", channel.number)
                json.add("points", channel.points) { json, point in
                    json.add("timestamp", point.minute * 60)
                    json.add("power", point.power)
                }
            }
            json.add("database", database.rawValue)
        }.text
    }
}

extension JSONText {
    fileprivate mutating func add(_ device: DeviceSummary) {
        add("id", device.device.description)
        add("last_seen", minute: device.lastMinute)
        add("silent", device.isSilent)
        add("channels", device.channels) { json, channel in
            json.add("channel", channel.number)
            json.add("last_seen", minute: channel.lastMinute)
            json.add("power", channel.power?.watts)
            json.add("power_at", minute: channel.power?.minute)
            json.add("hourly_power", channel.hourlyPower)
        }
        add("activity", device.activity)
    }

    /// Adds a minute since 1970 as `2026-11-24T00:33:00+00:00`.
    fileprivate mutating func add(_ name: StaticString, minute: Int64?) {
        add(name, minute.map { Timestamp(minute: $0).text(.seconds) + "+00:00" })
    }
}
