import Checkup
import Readings
import Spool

/// Looks for power in the newest segments that became no reading (invariant 14).
struct UntakenCheck {
    private let directory: SpoolDirectory
    /// The newest two, as the last one may have just begun.
    private static let segments = 2

    init(_ directory: SpoolDirectory) { self.directory = directory }

    private typealias Devices = [UntakenComponent.ComponentType: Set<DeviceID>]

    func results() -> [CheckResult] {
        var (takeable, channelless): (Devices, Devices) = ([:], [:])
        var lacking: [ReadingRules.Component] = []
        // Its rules are in the end those of the newest segment.
        let decoder = BatchDecoder()
        for segment in ((try? directory.segments()) ?? []).suffix(Self.segments) {
            // The loader may have moved or pruned it meanwhile, and damage has a check of its own.
            try? SegmentFile(segment).forEachRecord(for: decoder) { _ in
            } _: { record, _ in
                guard let batch = try? decoder.decode(record.body, receivedAt: record.receivedAt) else { return }
                for untaken in batch.untaken {
                    let device = batch.devices[untaken.device]
                    if let component = untaken.lacking {
                        lacking.append(component)
                        takeable[untaken.component, default: []].insert(device)
                    } else {
                        channelless[untaken.component, default: []].insert(device)
                    }
                }
            }
        }
        return [
            warning(takeable, do: decoder.rules.remedy(adding: lacking)),
            warning(channelless.filter { $0.key != .other }),
            warning(channelless.filter { $0.key == .other }),
        ].compactMap(\.self)
    }

    /// Without a remedy it names the obstacle, which is the same for all these types.
    private func warning(_ devices: Devices, do remedy: String? = nil) -> CheckResult? {
        guard let obstacle = devices.keys.first?.obstacle else { return nil }
        let parts = UntakenComponent.ComponentType.allCases.compactMap { type in
            devices[type].map { found in
                let names = found.map(\.description).sorted().prefix(3).joined(separator: ", ")
                return "\(type.rawValue) of \(found.count == 1 ? "one device" : "\(found.count) devices") (\(names))"
            }
        }
        return .warn(
            "components", "power that became no reading: " + parts.joined(separator: "; "), do: remedy ?? obstacle)
    }
}
