/// The setting that takes power which these rules do not take, or why none does.
extension ReadingRules {
    /// These rules' components and the added ones, as the value of INGEST_COMPONENTS.
    public func components(with added: [Component]) -> String {
        let missing = Component.allCases.filter { added.contains($0) && !components.contains($0) }
        return (components + missing).map(\.rawValue).joined(separator: ",")
    }

    /// How an operator takes the power of these components too, and of the messages that are spooled already.
    public func remedy(adding added: [Component]) -> String {
        let list = components(with: added)
        let isSet = added.allSatisfy(components.contains)
        return (isSet ? "" : "set INGEST_COMPONENTS=\(list), restart the receiver, then ")
            + "run 'shelly-loader replay --components \(list)', which loads the spooled messages"
    }
}

extension UntakenComponent.ComponentType {
    /// Why the power of an untaken component of this type becomes no reading by other rules either, if the rules lack no
    /// component.
    public var obstacle: String {
        self == .other
            ? "no setting takes this type of component"
            : "adding the component does not help, as its channel is above 3 or another component of the message has it"
    }
}
