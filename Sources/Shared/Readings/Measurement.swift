/// The values of a component, or of a phase of `em:0`, as they stand in a message.
struct Measurement {
    /// The names of a component's values.
    struct Names {
        let power: StaticString
        let voltage: StaticString
        let current: StaticString

        private static let plain = Names(power: "apower", voltage: "voltage", current: "current")
        private static let em1 = Names(power: "act_power", voltage: "voltage", current: "current")
        private static let phases = [
            Names(power: "a_act_power", voltage: "a_voltage", current: "a_current"),
            Names(power: "b_act_power", voltage: "b_voltage", current: "b_current"),
            Names(power: "c_act_power", voltage: "c_voltage", current: "c_current"),
        ]

        /// - Parameter channel: the phase, if the component is `em`.
        static func of(_ component: ReadingRules.Component, channel: Int) -> Names {
            switch component {
            case .em: phases[channel]
            case .em1: em1
            default: plain
            }
        }
    }

    private(set) var power: JSONValue?
    private(set) var voltage: JSONValue?
    private(set) var current: JSONValue?
    /// The energy counters of consumed and of returned energy.
    private(set) var energy: JSONValue?
    private(set) var returnedEnergy: JSONValue?

    init(of component: JSONValue, names: Names) {
        component.forEachMember { name, value in
            if name.equals(names.power) {
                power = value.isNull ? nil : value
            } else if name.equals(names.voltage) {
                voltage = value.isNull ? nil : value
            } else if name.equals(names.current) {
                current = value.isNull ? nil : value
            } else if name.equals("aenergy") {
                energy = value.isObject ? value : nil
            } else if name.equals("ret_aenergy") {
                returnedEnergy = value.isObject ? value : nil
            }
        }
    }

    /// Whether a component that the rules do not know, or do not take, tells a power.
    static func isIn(_ component: JSONValue) -> Bool {
        var isFound = false
        component.forEachMember { name, value in
            let isPower =
                switch name.count {
                case 6: name.equals("apower")
                case 9: name.equals("act_power")
                case 11: name.equals("a_act_power") || name.equals("b_act_power") || name.equals("c_act_power")
                default: false
                }
            if isPower, !value.isNull { isFound = true }
        }
        return isFound
    }
}
