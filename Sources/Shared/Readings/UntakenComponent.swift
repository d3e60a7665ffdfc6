/// A component whose power becomes no reading (invariant 14): the rules do not take its type, its number is above 3, or
/// another component of the message has its channel.
public struct UntakenComponent: Sendable, Equatable {
    /// The known types, and `other`.
    public enum ComponentType: String, CaseIterable, Sendable {
        case `switch`, pm1, em1, em, cover, light, rgb, rgbw, cct, other

        /// The value of `INGEST_COMPONENTS` that takes it; nil for `other`.
        public var component: ReadingRules.Component? { ReadingRules.Component(rawValue: rawValue) }
    }

    /// Index of the message in its batch, from 0.
    public let message: Int
    /// Index of the device in `Batch.devices`.
    public let device: Int
    public let component: ComponentType
    /// The component that the rules lack: added to them, it takes this power. nil if that does not help: the type is
    /// unknown, the channel is above 3, or another component of the message has it.
    public internal(set) var lacking: ReadingRules.Component?
    /// The channels that the component would have by such rules, a bit for each.
    let channels: UInt8

    init(
        message: Int, device: Int, component: ComponentType, lacking: ReadingRules.Component? = nil,
        channels: UInt8 = 0
    ) {
        self.message = message
        self.device = device
        self.component = component
        self.lacking = lacking
        self.channels = channels
    }
}

extension ReadingRules.Component {
    var type: UntakenComponent.ComponentType { UntakenComponent.ComponentType(rawValue: rawValue) ?? .other }
}
