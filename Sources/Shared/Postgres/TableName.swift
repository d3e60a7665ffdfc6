/// A table's name, optionally with its schema, safe for use in SQL.
public struct TableName: Sendable, Equatable {
    /// The schema, or nil to use the search path.
    public let schema: String?
    public let name: String

    /// Parses `table` or `schema.table` without changing the case.
    public init(_ text: String) throws(PostgresError) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && !$0.contains("\0") }) else {
            throw .invalid("DATABASE_TABLE must be 'table' or 'schema.table'")
        }
        schema = parts.count == 2 ? parts[0] : nil
        name = parts[parts.count - 1]
    }

    /// The name quoted for SQL: `"schema"."table"`.
    public var quoted: String { quoted(name) }

    /// Another name in the same schema, quoted for SQL.
    public func quoted(_ sibling: String) -> String {
        (schema.map { Self.quote($0) + "." } ?? "") + Self.quote(sibling)
    }

    /// An identifier quoted for SQL.
    public static func quote(_ identifier: String) -> String {
        var quoted = "\""
        for character in identifier.unicodeScalars {
            if character == "\"" { quoted += "\"" }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }
}
