/// Which members of a message's `params` become readings, and which power a reading has.
///
/// A segment's header has the rules with which its records were counted, as `text`. So receiver, loader and replay get the
/// same readings from a body, also if their own settings differ (invariant 9).
public struct ReadingRules: Equatable, Sendable {
    /// A device's readings have channels below this.
    static let channels = 4

    /// The types of components with a meter, in the order in which `all` takes them.
    public enum Component: String, CaseIterable, Sendable {
        case `switch`, pm1, em1, em, cover, light, rgb, rgbw, cct

        /// Its place among all components.
        var index: Int {
            switch self {
            case .switch: 0
            case .pm1: 1
            case .em1: 2
            case .em: 3
            case .cover: 4
            case .light: 5
            case .rgb: 6
            case .rgbw: 7
            case .cct: 8
            }
        }

        /// Components of the type with a number below this have a channel.
        var numbers: Int { self == .em ? 1 : ReadingRules.channels }

        /// Whether the component counts its energy by the minute.
        var hasMinuteCounters: Bool {
            switch self {
            case .switch, .pm1, .cover, .light, .rgb, .rgbw: true
            case .em1, .em, .cct: false
            }
        }
    }

    public enum Power: String, Sendable {
        /// The power at the time of the message.
        case sample
        /// The mean power of each whole minute, from the energy counters, where a component has them.
        case energy
    }

    /// Where two components of a message have the same channel, the first of this list is taken.
    public let components: [Component]
    public let power: Power

    /// The original specification: `switch:0` to `switch:3`, sampled.
    public static let standard = ReadingRules(components: [.switch], power: .sample)

    public init(components: [Component], power: Power) {
        self.components = components
        self.power = power
    }

    /// The components of a setting such as `switch, pm1` or `all`; nil when one is unknown, named twice, or when there is none.
    public static func components(named text: String) -> [Component]? {
        var components: [Component] = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = String(name.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
            if name == "all", !text.contains(",") { return Component.allCases }
            guard let component = Component(rawValue: name), !components.contains(component) else { return nil }
            components.append(component)
        }
        return components.isEmpty ? nil : components
    }

    /// The rules as in a segment's header, such as `switch,pm1;energy`; nil for the standard ones.
    public var text: String? {
        guard self != .standard else { return nil }
        return components.map(\.rawValue).joined(separator: ",") + ";" + power.rawValue
    }

    /// The rules of a segment's header; nil when this version does not know them.
    public init?(header text: String?) {
        guard let text else {
            self = .standard
            return
        }
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        guard parts.count == 2, let components = Self.components(named: String(parts[0])),
            let power = Power(rawValue: String(parts[1]))
        else { return nil }
        self.init(components: components, power: power)
    }
}
