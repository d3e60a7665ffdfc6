/// How many keys there are of each minute, for some days: what a plot of the last 24 hours shows.
///
/// A ring of 4096 minutes, 2.8 days, since a reading may be of tomorrow: a minute that it has no place for any more has no
/// count. 32 KiB.
struct MinuteCounts {
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

    /// Counts new keys: a bit for each minute from `first` on.
    mutating func add(_ bits: UInt32, from first: UInt32) {
        var bits = bits
        while bits != 0 {
            add(1, of: first &+ UInt32(bits.trailingZeroBitCount))
            bits &= bits - 1
        }
    }

    /// Takes back a key that was counted.
    mutating func remove(_ minute: UInt32) {
        let place = Int(minute % Self.slots)
        if ring[place].minute == minute, ring[place].keys > 0 { ring[place].keys -= 1 }
    }

    /// The keys of each of these minutes.
    func counts(of minutes: Range<Int64>) -> [Int] {
        minutes.map { minute in
            let slot = ring[Int(minute % Int64(Self.slots))]
            return Int64(slot.minute) == minute ? Int(slot.keys) : 0
        }
    }
}
