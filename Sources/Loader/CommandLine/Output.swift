import Text

/// Prints a value as one line of JSON, members in alphabetical order.
func printJSON(_ value: some Encodable) { print(JSONText(encoding: value).text) }
