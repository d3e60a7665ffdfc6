import Readings

/// A copy of what the ledger holds of one device: the days that were asked for, and each channel's newest.
struct DeviceMinutes: Sendable {
    struct Page: Sendable {
        /// Since 1970.
        let day: Int64
        let channel: Int
        /// A bit for each of the day's minutes.
        let words: [UInt32]
    }

    let device: DeviceID
    /// Sorted by day and channel.
    let pages: [Page]

    /// The channels that have any minute, sorted.
    var channels: [Int] { (0..<4).filter { lastMinute(of: $0) != nil } }

    /// The newest minute of all channels.
    var lastMinute: Int64? { pages.compactMap(\.lastMinute).max() }

    /// The newest minute of a channel.
    func lastMinute(of channel: Int) -> Int64? {
        pages.last { $0.channel == channel && $0.lastMinute != nil }?.lastMinute
    }

    /// The minutes of a channel among these, sorted.
    func minutes(of channel: Int, in wanted: Range<Int64>) -> [Int64] {
        pages.filter { $0.channel == channel }.flatMap { $0.minutes(in: wanted) }
    }
}

extension DeviceMinutes.Page {
    private var firstMinute: Int64 { day * MinuteLedger.minutesPerDay }

    /// Nil when there is none.
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
