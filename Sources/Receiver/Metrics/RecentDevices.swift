import Readings
import Time

/// The devices of the newest untaken components, one entry for each device and type of component.
struct RecentDevices: Sendable {
    struct Entry: Equatable, Sendable {
        let device: DeviceID
        let component: UntakenComponent.ComponentType
        /// The component that the rules lack, as in `UntakenComponent`, in the newest message. nil if that message has no
        /// component of the type that they lack.
        var lacking: ReadingRules.Component?
        /// When the message was received.
        var receivedAt: Timestamp
    }

    private static let maximum = 50

    /// The one that was added first is the first.
    private(set) var entries: [Entry] = []

    mutating func add(_ batch: Batch, at time: Timestamp) {
        var message: Int?
        var types: Set<UntakenComponent.ComponentType> = []
        for untaken in batch.untaken {
            if untaken.message != message { (message, types) = (untaken.message, []) }
            let isFirst = types.insert(untaken.component).inserted
            add(batch.devices[untaken.device], untaken, isFirst: isFirst, at: time)
        }
    }

    /// - Parameter isFirst: whether it is the first component of its type in its message.
    private mutating func add(_ device: DeviceID, _ untaken: UntakenComponent, isFirst: Bool, at time: Timestamp) {
        let component = untaken.component
        if let known = entries.firstIndex(where: { $0.component == component && $0.device == device }) {
            entries[known].receivedAt = time
            if isFirst || untaken.lacking != nil { entries[known].lacking = untaken.lacking }
            return
        }
        if entries.count == Self.maximum { entries.removeFirst() }
        entries.append(Entry(device: device, component: component, lacking: untaken.lacking, receivedAt: time))
    }
}
