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
    /// The reason for people, without a full stop. It contains no text from a client.
    var sentence: String {
        let name = componentName ?? "a component"
        switch reason {
        case .noPower: return "its messages have no power"
        case .powerAlone: return "\(name) sends power without the energy counters that INGEST_POWER=energy takes"
        case .energyAlone: return "\(name) sends energy without power, which INGEST_POWER=energy takes"
        case .untaken:
            return component == .other
                ? "its power is in a component that no setting takes"
                : "its power is in \(name), which INGEST_COMPONENTS or the channels 0 to 3 do not take"
        case .invalid: return "a value of \(name) is not a number"
        case .null: return "the meter of \(name) is broken: its power is null"
        case .errors: return "the meter of \(name) is broken: it reports errors and no power"
        }
    }
}
