/// The components of a message that its rules take, by their place in the rules and their number. Of members with the same
/// name the last one counts.
struct ComponentSlots {
    private static let channels = ReadingRules.channels

    /// The place of each type of component in the rules; nil for a type that is not taken.
    private let ranks: [Int?]
    private var values: [JSONValue?]

    init(_ rules: ReadingRules) {
        ranks = ReadingRules.Component.allCases.map { rules.components.firstIndex(of: $0) }
        values = [JSONValue?](repeating: nil, count: rules.components.count * Self.channels)
    }

    mutating func clear() {
        for index in values.indices { values[index] = nil }
    }

    subscript(rank: Int, channel channel: Int) -> JSONValue? { values[rank * Self.channels + channel] }

    func hasPlace(for name: UnsafeRawBufferPointer) -> Bool { index(of: ComponentName(name)) != nil }

    /// Keeps the component if the rules take it; otherwise returns its name.
    mutating func place(_ value: JSONValue, named name: UnsafeRawBufferPointer) -> ComponentName? {
        let name = ComponentName(name)
        guard let index = index(of: name) else { return name }
        values[index] = value
        return nil
    }

    private func index(of name: ComponentName) -> Int? {
        guard let type = name.type, let number = name.number, number < type.numbers,
            let rank = ranks[type.index]
        else { return nil }
        return rank * Self.channels + number
    }
}
