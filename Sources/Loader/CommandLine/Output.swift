import FoundationEssentials

/// Prints a value as one line of JSON, members in alphabetical order.
func printJSON(_ value: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Callers pass only finite numbers and text, which can always be encoded.
    guard let data = try? encoder.encode(value) else { preconditionFailure("unencodable output") }
    print(String(decoding: data, as: UTF8.self))
}
