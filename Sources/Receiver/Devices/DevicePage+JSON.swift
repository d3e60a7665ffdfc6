import Readings
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
            json.add("without_readings", withoutReadings)
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
            json.add("last_heard", second: last?.time)
            json.add("last_seen", minute: lastMinute)
            json.add(state, last?.missing)
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
        add("last_heard", second: device.last.time)
        add("last_seen", minute: device.lastMinute)
        add(device.state, device.last.missing)
        add("channels", device.channels) { json, channel in
            json.add("channel", channel.number)
            json.add("last_seen", minute: channel.lastMinute)
            json.add("power", channel.power?.watts)
            json.add("power_at", minute: channel.power?.minute)
            json.add("hourly_power", channel.hourlyPower)
        }
        add("activity", device.activity)
    }

    /// Adds a device's state, and why it gives no reading.
    fileprivate mutating func add(_ state: DeviceState, _ missing: MissingReading?) {
        let missing = state.isWithoutReadings ? missing : nil
        add("silent", state == .silent)
        add("without_readings", state.isWithoutReadings)
        add("reason", missing?.reason.code)
        add("component", missing?.componentName)
    }

    /// Adds a minute since 1970 as `2026-11-24T00:33:00+00:00`.
    fileprivate mutating func add(_ name: StaticString, minute: Int64?) {
        add(name, second: minute.map { $0 * 60 })
    }

    /// Adds Unix seconds likewise.
    fileprivate mutating func add(_ name: StaticString, second: Int64?) {
        add(name, second.map { Timestamp(unixSeconds: $0).text(.seconds) + "+00:00" })
    }
}
