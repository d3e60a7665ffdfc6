import Readings

extension MissingReading.Reason {
    /// The value of `reason` in the interface.
    var code: String {
        switch self {
        case .noPower: "no_power"
        case .powerAlone: "power_alone"
        case .energyAlone: "energy_alone"
        case .untaken: "untaken"
        case .invalid: "invalid"
        case .null: "null"
        case .errors: "errors"
        }
    }
}

extension MissingReading {
    /// The reason for people, without a full stop, and the setting that takes the power if there is one. It contains no
    /// text from a client.
    ///
    /// - Parameter rules: those of the receiver now, which may be others than when the message came.
    func sentence(by rules: ReadingRules) -> String {
        let name = componentName ?? "a component"
        switch reason {
        case .noPower: return "its messages have no power"
        case .powerAlone: return "\(name) sends power without the energy counters that INGEST_POWER=energy takes"
        case .energyAlone: return "\(name) sends energy without power, which INGEST_POWER=energy takes"
        case .untaken:
            guard let component = component?.component else {
                return "its power is in \(name); \(UntakenComponent.ComponentType.other.obstacle)"
            }
            guard hasChannel else { return "its power is in \(name), which has none of the channels 0 to 3" }
            return rules.components.contains(component)
                ? "its power is in \(name), which INGEST_COMPONENTS did not take when the message came"
                : "its power is in \(name); add \(component.rawValue) to INGEST_COMPONENTS"
        case .invalid: return "a value of \(name) is not a number"
        case .null: return "the meter of \(name) is broken: its power is null"
        case .errors: return "the meter of \(name) is broken: it reports errors and no power"
        }
    }
}
