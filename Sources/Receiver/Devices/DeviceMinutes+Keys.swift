import Readings

/// The key of a reading: device, channel and minute since 1970.
struct ReadingKey: Hashable, Sendable {
    let device: DeviceID
    let channel: Int
    let minute: Int64
}

/// Which readings' powers a list shows.
extension DeviceMinutes {
    /// The loader may be this many minutes behind the newest reading, and the list still has a power.
    private static let lags: [Int64] = [0, 1, 2, 5, 15, 60]

    /// A channel's newest readings, at some distances, and the newest of each hour where it is asked for.
    func keys(of channel: Int, in minutes: Range<Int64>, isWithHours: Bool) -> [ReadingKey] {
        guard let last = lastMinute(of: channel) else { return [] }
        let near = self.minutes(of: channel, in: last - (Self.lags.last ?? 0)..<last + 1)
        let recent = Self.lags.compactMap { lag in near.last { $0 <= last - lag } }
        let hourly = isWithHours ? hours(of: channel, in: minutes).compactMap { $0 } : []
        return Set(recent + hourly).sorted().map { ReadingKey(device: device, channel: channel, minute: $0) }
    }

    /// The newest minute of each of 24 hours; nil for one without any.
    func hours(of channel: Int, in minutes: Range<Int64>) -> [Int64?] {
        var hours = [Int64?](repeating: nil, count: 24)
        for minute in self.minutes(of: channel, in: minutes) { hours[Int(minute - minutes.lowerBound) / 60] = minute }
        return hours
    }
}
