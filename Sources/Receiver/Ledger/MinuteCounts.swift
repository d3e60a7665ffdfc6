/// The number of keys of each minute over some days, for the plot of the last 24 hours.
///
/// A ring of 4096 minutes, 2.8 days, since a reading may be dated tomorrow. A minute that no longer has a slot has no
/// count. 32 KiB.
package struct MinuteCounts {
    private struct Slot {
        /// Minutes since 1970.
        var minute: UInt32 = 0
        var keys: UInt32 = 0
    }

    private static let slots: UInt32 = 4096

    private var ring = [Slot](repeating: Slot(), count: Int(slots))

    /// Counts new keys of the minute.
    mutating func add(_ keys: UInt32, of minute: UInt32) {
        guard keys > 0 else { return }
        let place = Int(minute % Self.slots)
        if ring[place].minute < minute { ring[place] = Slot(minute: minute) }
        if ring[place].minute == minute { ring[place].keys += keys }
    }

    /// Counts the same number of new keys for each of several minutes: one bit for each minute from `first` on.
    mutating func add(_ keys: UInt32, of minutes: UInt32, from first: UInt32) {
        var minutes = minutes
        while minutes != 0 {
            add(keys, of: first &+ UInt32(minutes.trailingZeroBitCount))
            minutes &= minutes - 1
        }
    }

    /// Removes keys that were counted.
    mutating func remove(_ keys: UInt32, of minute: UInt32) {
        let place = Int(minute % Self.slots)
        if ring[place].minute == minute { ring[place].keys -= min(keys, ring[place].keys) }
    }

    /// The number of keys of each of these minutes.
    package func counts(of minutes: Range<Int64>) -> [Int] {
        minutes.map { minute in
            let slot = ring[Int(minute % Int64(Self.slots))]
            return Int64(slot.minute) == minute ? Int(slot.keys) : 0
        }
    }
}
