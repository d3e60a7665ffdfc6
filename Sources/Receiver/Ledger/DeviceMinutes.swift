package import Readings

/// A copy of a device's minutes in the ledger: the requested days, and the newest day of each channel; and its newest
/// message.
package struct DeviceMinutes: Sendable {
    /// The minutes of a channel on a day.
    package struct ChannelDay: Sendable {
        /// Days since 1970.
        let day: Int64
        let channel: Int
        /// One bit for each minute of the day.
        let words: [UInt32]
    }

    package let device: DeviceID
    package let last: LastMessage
    /// Sorted by day and channel.
    let channelDays: [ChannelDay]

    /// The channels that have any minutes, sorted.
    package var channels: [Int] { (0..<4).filter { lastMinute(of: $0) != nil } }

    /// The newest minute of all channels.
    package var lastMinute: Int64? { channelDays.compactMap(\.lastMinute).max() }

    /// The newest minute of a channel.
    package func lastMinute(of channel: Int) -> Int64? {
        channelDays.last { $0.channel == channel && $0.lastMinute != nil }?.lastMinute
    }

    /// The minutes of a channel within a range, sorted.
    package func minutes(of channel: Int, in wanted: Range<Int64>) -> [Int64] {
        channelDays.filter { $0.channel == channel }.flatMap { $0.minutes(in: wanted) }
    }
}

extension DeviceMinutes.ChannelDay {
    private var firstMinute: Int64 { day * .minutesPerDay }

    /// nil when there are none.
    var lastMinute: Int64? {
        words.lastIndex { $0 != 0 }.map { firstMinute + Int64($0 * 32 + 31 - words[$0].leadingZeroBitCount) }
    }

    fileprivate func minutes(in wanted: Range<Int64>) -> [Int64] {
        var minutes: [Int64] = []
        for (index, word) in words.enumerated() {
            var bits = word
            while bits != 0 {
                let minute = firstMinute + Int64(index * 32 + bits.trailingZeroBitCount)
                if wanted.contains(minute) { minutes.append(minute) }
                bits &= bits - 1
            }
        }
        return minutes
    }
}
