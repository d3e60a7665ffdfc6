import Ledger
import Readings

/// The readings whose powers a list shows.
extension DeviceMinutes {
    /// Minutes by which the loader may be behind the newest reading while the list still shows a power.
    private static let lags: [Int64] = [0, 1, 2, 5, 15, 60]

    /// Keys of a channel's newest readings at some distances, and of the newest of each hour if `isWithHours`.
    func keys(of channel: Int, in minutes: Range<Int64>, isWithHours: Bool) -> [ReadingKey] {
        guard let last = lastMinute(of: channel) else { return [] }
        let near = self.minutes(of: channel, in: last - (Self.lags.last ?? 0)..<last + 1)
        let recent = Self.lags.compactMap { lag in near.last { $0 <= last - lag } }
        let hourly = isWithHours ? hours(of: channel, in: minutes).compactMap { $0 } : []
        return Set(recent + hourly).sorted().map { ReadingKey(device: device, channel: channel, minute: $0) }
    }

    /// The newest minute of each of 24 hours; nil for an hour without a reading.
    func hours(of channel: Int, in minutes: Range<Int64>) -> [Int64?] {
        var hours = [Int64?](repeating: nil, count: 24)
        for minute in self.minutes(of: channel, in: minutes) { hours[Int(minute - minutes.lowerBound) / 60] = minute }
        return hours
    }
}
