import Readings

/// All devices that the spool knows at a moment, sorted by the bytes of their names.
struct DeviceCensus: Sendable {
    let sightings: [MinuteLedger.Sighting]

    init(_ sightings: [MinuteLedger.Sighting]) {
        self.sightings = sightings.sorted { $0.device.utf8.lexicographicallyPrecedes($1.device.utf8) }
    }

    /// What a query finds.
    struct Finding {
        var devices: [DeviceID] = []
        /// Whether there is more behind these.
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
        guard count >= wanted.count else { return false }
        return (0...(count - wanted.count)).contains { start in
            wanted.indices.allSatisfy { self[start + $0].lowercasedASCII == wanted[$0] }
        }
    }
}

extension UInt8 {
    fileprivate var lowercasedASCII: UInt8 { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self }
}
