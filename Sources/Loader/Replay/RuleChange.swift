import ArgumentParser
import Readings

/// Options for reading rules in place of those with which a segment was written.
struct RuleChange: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Components to take, as in INGEST_COMPONENTS, in place of those in the segments' headers.",
            valueName: "list"),
        transform: { text in
            guard let components = ReadingRules.components(named: text) else {
                let known = ReadingRules.Component.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("expected all, or a list of \(known)")
            }
            return components
        })
    var components: [ReadingRules.Component]?
    @Option(
        help: ArgumentHelp("Power to take, as in INGEST_POWER: sample or energy.", valueName: "power"),
        transform: { text in
            guard let power = ReadingRules.Power(rawValue: text) else {
                throw ValidationError("expected sample or energy")
            }
            return power
        })
    var power: ReadingRules.Power?

    func applied(to rules: ReadingRules) -> ReadingRules {
        ReadingRules(components: components ?? rules.components, power: power ?? rules.power)
    }
}
