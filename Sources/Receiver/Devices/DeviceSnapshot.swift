import Glibc
import Ledger
import Readings

/// All devices that the spool knew at one moment, sorted by the bytes of their names, and their states then.
struct DeviceSnapshot: Sendable {
    let lastSeen: [MinuteLedger.LastSeen]
    private let silence: SilenceRule

    /// - Parameter previous: an earlier snapshot. Most devices are already sorted in its order, so sorting takes little
    ///   time.
    init(_ lastSeen: [MinuteLedger.LastSeen], _ silence: SilenceRule, after previous: DeviceSnapshot? = nil) {
        var new = [MinuteLedger.LastSeen?](repeating: nil, count: (lastSeen.map(\.number).max() ?? -1) + 1)
        for seen in lastSeen { new[seen.number] = seen }
        var ordered: [MinuteLedger.LastSeen] = []
        ordered.reserveCapacity(lastSeen.count)
        for known in previous?.lastSeen ?? [] where known.number < new.count {
            guard let seen = new[known.number] else { continue }
            ordered.append(seen)
            new[known.number] = nil
        }
        ordered += new.compactMap { $0 }
        ordered.sort { $0.device.utf8.lexicographicallyPrecedes($1.device.utf8) }
        self.lastSeen = ordered
        self.silence = silence
    }

    var count: Int { lastSeen.count }

    struct Device {
        let id: DeviceID
        let last: LastMessage
        /// The newest minute with a reading, since 1970.
        let lastMinute: Int64?
        let state: DeviceState
    }

    /// The result of a query.
    struct Matches {
        var devices: [Device] = []
        /// Whether more devices follow.
        var isMore = false
        /// The number of silent devices of the snapshot, of those without readings, and among these of those without a meter
        /// and of those that report energy alone; and of the devices that match on all pages.
        var silent = 0
        var withoutReadings = 0
        var withoutMeter = 0
        var energyAlone = 0
        var matching = 0
    }

    func find(_ query: DeviceQuery) -> Matches {
        let after = Array(query.after.utf8)
        var search = NameSearch(query.search)
        var matches = Matches()
        for seen in lastSeen {
            let state = silence.state(seen.last, lastMinute: seen.lastMinute)
            if state == .silent { matches.silent += 1 }
            if state.isWithoutReadings { matches.withoutReadings += 1 }
            if state == .withoutMeter { matches.withoutMeter += 1 }
            if state == .withoutReadings, seen.last.missing?.reason == .energyAlone { matches.energyAlone += 1 }
            guard query.includes(state) else { continue }
            guard search.matches(seen.device) else { continue }
            matches.matching += 1
            guard after.isEmpty || after.lexicographicallyPrecedes(seen.device.utf8) else { continue }
            if matches.devices.count < query.limit {
                matches.devices.append(
                    Device(
                        id: seen.device, last: seen.last, lastMinute: seen.lastMinute, state: state))
            } else {
                matches.isMore = true
            }
        }
        return matches
    }
}

/// Finds a text in names regardless of the case of ASCII letters, in time proportional to the names' lengths.
private struct NameSearch {
    // Neither contains a NUL.
    private let wanted: [CChar]
    private var name: [CChar] = []

    init(_ text: String) { wanted = text.utf8.map { CChar(bitPattern: $0.lowercasedASCII) } + [0] }

    mutating func matches(_ device: DeviceID) -> Bool {
        name.removeAll(keepingCapacity: true)
        for byte in device.utf8 { name.append(CChar(bitPattern: byte.lowercasedASCII)) }
        name.append(0)
        return strstr(name, wanted) != nil
    }
}

extension UInt8 {
    fileprivate var lowercasedASCII: UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self }
}
