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

    /// The same number of new keys for each of several minutes.
    struct Keys {
        /// One bit for each minute from `first` on.
        private(set) var minutes: UInt32 = 0
        private(set) var first: UInt32 = 0
        private(set) var keys: UInt32 = 0

        init() {}

        init(_ minutes: UInt32, from first: UInt32) {
            (self.minutes, self.first, keys) = (minutes, first, 1)
        }

        /// Adds one key to each of these minutes; returns false when they are not the same minutes.
        mutating func add(_ minutes: UInt32, from first: UInt32) -> Bool {
            guard minutes == self.minutes, first == self.first else { return false }
            keys += 1
            return true
        }
    }

    mutating func add(_ new: Keys) {
        var minutes = new.minutes
        while minutes != 0 {
            add(new.keys, of: new.first &+ UInt32(minutes.trailingZeroBitCount))
            minutes &= minutes - 1
        }
    }

    /// Removes a key that was counted.
    mutating func remove(_ minute: UInt32) {
        let place = Int(minute % Self.slots)
        if ring[place].minute == minute, ring[place].keys > 0 { ring[place].keys -= 1 }
    }

    /// The number of keys of each of these minutes.
    package func counts(of minutes: Range<Int64>) -> [Int] {
        minutes.map { minute in
            let slot = ring[Int(minute % Int64(Self.slots))]
            return Int64(slot.minute) == minute ? Int(slot.keys) : 0
        }
    }
}
