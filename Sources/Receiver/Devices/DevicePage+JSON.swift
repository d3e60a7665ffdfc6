extension DevicePage {
    /// The body of `GET /api/devices`.
    var json: String {
        var json = "{\"devices\":"
        json.appendArray(devices) { $0.append($1) }
        json += ",\"next\":"
        if let next { json.appendQuoted(next.description) } else { json += "null" }
        return json + """
            ,"total":\(total),"silent":\(silent),"matching":\(matching),"silent_after_seconds":\(silentAfterSeconds),\
            "database":"\(database.rawValue)"}
            """
    }
}

extension DeviceDay {
    /// The body of `GET /api/devices/{id}`.
    var json: String {
        var json = "{\"id\":"
        json.appendQuoted(device.description)
        json += ",\"last_seen\":"
        json.append(minute: lastMinute)
        json += ",\"silent\":\(isSilent),\"from\":"
        json.append(minute: minutes.lowerBound)
        json += ",\"to\":"
        json.append(minute: minutes.upperBound)
        json += ",\"channels\":"
        json.appendArray(channels) { json, channel in
            json += "{\"channel\":\(channel.number),\"points\":"
            json.appendArray(channel.points) { json, point in
                json += "{\"timestamp\":\(point.minute * 60),\"power\":"
                json.append(watts: point.power)
                json += "}"
            }
            json += "}"
        }
        return json + ",\"database\":\"\(database.rawValue)\"}"
    }
}

extension String {
    fileprivate mutating func append(_ device: DeviceSummary) {
        self += "{\"id\":"
        appendQuoted(device.device.description)
        self += ",\"last_seen\":"
        append(minute: device.lastMinute)
        self += ",\"silent\":\(device.isSilent),\"channels\":"
        appendArray(device.channels) { json, channel in
            json += "{\"channel\":\(channel.number),\"last_seen\":"
            json.append(minute: channel.lastMinute)
            json += ",\"power\":"
            json.append(watts: channel.power?.watts)
            json += ",\"power_at\":"
            json.append(minute: channel.power?.minute)
            json += ",\"hourly_power\":"
            json.appendArray(channel.hourlyPower) { $0.append(watts: $1) }
            json += "}"
        }
        self += ",\"activity\":"
        appendArray(device.activity) { $0 += String($1) }
        self += "}"
    }

    fileprivate mutating func append(minute: Int64?) {
        guard let minute else {
            self += "null"
            return
        }
        appendQuoted(CalendarDay.text(minute: minute))
    }

    /// Appends a power, which is finite like all powers from the database.
    fileprivate mutating func append(watts: Double?) {
        self += watts.map { "\($0)" } ?? "null"
    }
}
