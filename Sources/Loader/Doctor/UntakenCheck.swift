import Checkup
import Readings
import Spool

/// Looks for power in the newest segments that became no reading (invariant 14).
struct UntakenCheck {
    private let directory: SpoolDirectory
    /// The newest two, as the last one may have just begun.
    private static let segments = 2

    init(_ directory: SpoolDirectory) { self.directory = directory }

    func results() -> [CheckResult] {
        var devices: [UntakenComponent.ComponentType: Set<DeviceID>] = [:]
        let decoder = BatchDecoder()
        for segment in ((try? directory.segments()) ?? []).suffix(Self.segments) {
            // The loader may have moved or pruned it meanwhile, and damage has a check of its own.
            try? SegmentFile(segment).forEachRecord(for: decoder) { _ in
            } _: { record, _ in
                guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { return }
                for untaken in batch.untaken {
                    devices[untaken.component, default: []].insert(batch.devices[untaken.device])
                }
            }
        }
        guard !devices.isEmpty else { return [] }
        let parts = UntakenComponent.ComponentType.allCases.compactMap { type in
            devices[type].map { found in
                let names = found.map(\.description).sorted().prefix(3).joined(separator: ", ")
                return "\(type.rawValue) of \(found.count == 1 ? "one device" : "\(found.count) devices") (\(names))"
            }
        }
        return [
            .warn(
                "components", "power that became no reading: " + parts.joined(separator: "; "),
                do: "add the component to INGEST_COMPONENTS (channels are 0 to 3), and load the spooled messages "
                    + "with 'shelly-loader replay --components'")
        ]
    }
}
