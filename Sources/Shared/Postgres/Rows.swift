/// The result of a statement, with values as PostgreSQL's text.
public struct Rows: Sendable {
    /// The columns' names.
    public let columns: [String]
    /// Number of rows inserted, updated, deleted or selected, as in the command's tag. Follows `PQcmdTuples`.
    public let affected: Int
    /// The command's tag, for example `INSERT 0 3`. Follows `PQcmdStatus`.
    let tag: String
    private let values: [String?]

    init(columns: [String] = [], affected: Int = 0, tag: String = "", values: [String?] = []) {
        self.columns = columns
        self.affected = affected
        self.tag = tag
        self.values = values
    }

    /// Number of rows returned.
    public var count: Int { columns.isEmpty ? 0 : values.count / columns.count }

    /// A value, or nil for NULL. A nonexistent row or column is a programmer's error.
    public subscript(row: Int, column: Int) -> String? {
        precondition(row >= 0 && row < count && column >= 0 && column < columns.count, "no such row or column")
        return values[row * columns.count + column]
    }

    /// A whole number, or nil for NULL and any other value.
    public func integer(_ row: Int, _ column: Int) -> Int? { self[row, column].flatMap { Int($0) } }
}
