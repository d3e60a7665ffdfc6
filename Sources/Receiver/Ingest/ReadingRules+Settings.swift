import Readings
import Settings

extension ReadingRules {
    init(_ settings: Settings) {
        guard let components = Self.components(named: settings.required(.components)),
            let power = Power(rawValue: settings.required(.power))
        else { preconditionFailure("the settings are checked when they are read") }
        self.init(components: components, power: power)
    }
}
