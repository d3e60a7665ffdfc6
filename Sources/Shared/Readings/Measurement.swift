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

    /// - Parameter channel: the phase, if the component is `em`.
    init(of value: JSONValue, as component: ReadingRules.Component, channel: Int) {
        // By length first: a component has a dozen members, and most of them are none of these.
        switch component {
        case .em:
            let phase = UInt8(ascii: "a") + UInt8(channel)
            value.forEachMember { name, value in
                switch name.count {
                case 11 where name.equals("act_power", ofPhase: phase): power = value
                case 9 where name.equals("voltage", ofPhase: phase): voltage = value
                case 9 where name.equals("current", ofPhase: phase): current = value
                default: break
                }
            }
        default:
            let isEM1 = component == .em1
            value.forEachMember { name, value in
                switch name.count {
                case 6 where !isEM1 && name.equals("apower"): power = value
                case 9 where isEM1 && name.equals("act_power"): power = value
                case 7 where name.equals("voltage"): voltage = value
                case 7 where name.equals("current"): current = value
                case 7 where name.equals("aenergy"): energy = value
                case 11 where name.equals("ret_aenergy"): returnedEnergy = value
                default: break
                }
            }
        }
        if power?.isNull == true { power = nil }
        if voltage?.isNull == true { voltage = nil }
        if current?.isNull == true { current = nil }
        if energy?.isObject == false { energy = nil }
        if returnedEnergy?.isObject == false { returnedEnergy = nil }
    }

    /// Whether a component that the rules do not know, or do not take, has a power value.
    static func isIn(_ component: JSONValue) -> Bool {
        var isFound = false
        component.forEachMember { name, value in
            if !value.isNull, isPower(name) { isFound = true }
        }
        return isFound
    }

    /// Whether a component's member of this name is a power.
    static func isPower(_ name: UnsafeRawBufferPointer) -> Bool {
        switch name.count {
        case 6: name.equals("apower")
        case 9: name.equals("act_power")
        case 11: name.equals("a_act_power") || name.equals("b_act_power") || name.equals("c_act_power")
        default: false
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether it is `a_` and the name, for the phase `a`.
    fileprivate func equals(_ name: StaticString, ofPhase phase: UInt8) -> Bool {
        self[0] == phase && self[1] == UInt8(ascii: "_") && UnsafeRawBufferPointer(rebasing: self[2...]).equals(name)
    }
}
