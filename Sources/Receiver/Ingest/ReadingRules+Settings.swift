import Readings
import Settings

extension ReadingRules {
    init(_ settings: Settings) {
        guard let components = Self.components(named: settings.required(.components)),
            let power = Power(rawValue: settings.required(.power))
        else { preconditionFailure("the settings are checked when they are read") }
        self.init(components: components, power: power)
    }

    /// These rules with one more component, as the value of INGEST_COMPONENTS.
    func components(with component: Component) -> String {
        (components + (components.contains(component) ? [] : [component])).map(\.rawValue).joined(separator: ",")
    }
}
