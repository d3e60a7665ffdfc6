/// Why a message gives no reading, as far as the message tells.
public struct MissingReading: Sendable, Equatable {
    /// Of several reasons in a message, the last one in this order counts.
    public enum Reason: UInt8, CaseIterable, Sendable {
        /// No component has a power.
        case noPower
        /// A power without the energy counters that `INGEST_POWER=energy` takes.
        case powerAlone
        /// Energy without a power, which `INGEST_POWER=sample` does not take.
        case energyAlone
        /// The rules do not take the component.
        case untaken
        /// A value is not a number.
        case invalid
        /// The power is null.
        case null
        /// The component has no power, and its `errors` are not empty.
        case errors
    }

    public let reason: Reason
    /// The type of the component, `other` for an unknown one; nil for `noPower`.
    public let component: UntakenComponent.ComponentType?
    /// The component's number; nil when it has none.
    public let number: UInt16?

    public init(_ reason: Reason, _ component: UntakenComponent.ComponentType? = nil, number: UInt16? = nil) {
        self.reason = reason
        self.component = component
        self.number = number
    }

    /// The component as in a message, such as `pm1:0`; nil for `noPower` and for a component of an unknown type.
    public var componentName: String? {
        guard let component, component != .other else { return nil }
        return component.rawValue + (number.map { ":\($0)" } ?? "")
    }

    /// Whether the number of the component is one that rules with its type take.
    public var hasChannel: Bool {
        guard let type = component?.component, let number else { return false }
        return number < type.numbers
    }

    /// The reason of a message that has no reading by these rules, valid or not.
    init(in params: JSONValue, by rules: ReadingRules) {
        var found = MissingReading(.noPower)
        params.forEachMember { name, value in
            guard value.isObject else { return }
            let name = ComponentName(name)
            guard let reason = Self.reason(for: value, name, by: rules), reason.rawValue > found.reason.rawValue else {
                return
            }
            found = MissingReading(reason, name.type?.type ?? .other, number: name.number.map { UInt16($0) })
        }
        self = found
    }

    private static func reason(for value: JSONValue, _ name: ComponentName, by rules: ReadingRules) -> Reason? {
        let signs = MeterSigns(of: value)
        guard let type = name.type else { return signs.hasPower ? .untaken : nil }
        if !signs.hasPower, signs.hasErrors { return .errors }
        if !signs.hasPower, signs.hasNullPower { return .null }
        guard let number = name.number, number < type.numbers,
            rules.components.contains(type)
        else { return signs.hasPower ? .untaken : nil }
        if signs.hasPower { return .powerAlone }
        return signs.hasEnergy && rules.power == .sample ? .energyAlone : nil
    }
}

/// The members of a component that show whether it has a meter.
private struct MeterSigns {
    var hasPower = false
    var hasNullPower = false
    var hasEnergy = false
    var hasErrors = false

    init(of component: JSONValue) {
        component.forEachMember { name, value in
            if Measurement.isPower(name) {
                if value.isNull { hasNullPower = true } else { hasPower = true }
            } else if name.equals("aenergy") {
                hasEnergy = value.isObject
            } else if name.equals("errors") || name.equals("a_errors") || name.equals("b_errors")
                || name.equals("c_errors")
            {
                if value.isArray, value.elementCount(upTo: 1) > 0 { hasErrors = true }
            }
        }
    }
}
