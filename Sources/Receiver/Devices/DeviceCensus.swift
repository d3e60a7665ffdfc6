import Readings

/// All devices that the spool knows at one point in time, sorted by the bytes of their names.
struct DeviceCensus: Sendable {
    let sightings: [MinuteLedger.Sighting]

    /// - Parameter previous: an earlier census. Most devices are already sorted in its order, so sorting takes little
    ///   time.
    init(_ sightings: [MinuteLedger.Sighting], after previous: DeviceCensus? = nil) {
        var new = [MinuteLedger.Sighting?](repeating: nil, count: (sightings.map(\.number).max() ?? -1) + 1)
        for sighting in sightings { new[sighting.number] = sighting }
        var ordered: [MinuteLedger.Sighting] = []
        ordered.reserveCapacity(sightings.count)
        for known in previous?.sightings ?? [] where known.number < new.count {
            guard let sighting = new[known.number] else { continue }
            ordered.append(sighting)
            new[known.number] = nil
        }
        ordered += new.compactMap { $0 }
        ordered.sort { $0.device.utf8.lexicographicallyPrecedes($1.device.utf8) }
        self.sightings = ordered
    }

    /// The result of a query.
    struct Finding {
        var devices: [DeviceID] = []
        /// Whether more devices follow.
        var isMore = false
        var silent = 0
        var matching = 0
    }

    /// - Parameter isSilent: whether a device with this newest minute is silent.
    func find(_ query: DeviceQuery, isSilent: (_ lastMinute: Int64) -> Bool) -> Finding {
        let after = Array(query.after.utf8)
        let search = query.search.utf8.map(\.lowercasedASCII)
        var finding = Finding()
        for sighting in sightings {
            let silent = isSilent(sighting.lastMinute)
            if silent { finding.silent += 1 }
            if let wanted = query.isSilent, wanted != silent { continue }
            guard search.isEmpty || sighting.device.utf8.contains(lowercased: search) else { continue }
            finding.matching += 1
            guard after.isEmpty || after.lexicographicallyPrecedes(sighting.device.utf8) else { continue }
            if finding.devices.count < query.limit {
                finding.devices.append(sighting.device)
            } else {
                finding.isMore = true
            }
        }
        return finding
    }
}

extension [UInt8] {
    fileprivate func contains(lowercased wanted: [UInt8]) -> Bool {
        var start = 0
        while start + wanted.count <= count {
            var length = 0
            while length < wanted.count, self[start + length].lowercasedASCII == wanted[length] { length += 1 }
            if length == wanted.count { return true }
            start += 1
        }
        return false
    }
}

extension UInt8 {
    fileprivate var lowercasedASCII: UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self }
}
