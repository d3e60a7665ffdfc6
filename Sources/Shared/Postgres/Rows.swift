/// What a statement returned, values as PostgreSQL's text.
public struct Rows: Sendable {
    /// The columns' names.
    public let columns: [String]
    /// Rows inserted, updated, deleted or selected, as the command's tag says. Follows `PQcmdTuples`.
    public let affected: Int
    /// The command's tag, `INSERT 0 3`. Follows `PQcmdStatus`.
    let tag: String
    private let values: [String?]

    init(columns: [String] = [], affected: Int = 0, tag: String = "", values: [String?] = []) {
        self.columns = columns
        self.affected = affected
        self.tag = tag
        self.values = values
    }

    /// Rows returned.
    public var count: Int { columns.isEmpty ? 0 : values.count / columns.count }

    /// A value, nil for NULL. A row or column that is not there is a programmer's error.
    public subscript(row: Int, column: Int) -> String? {
        precondition(row >= 0 && row < count && column >= 0 && column < columns.count, "no such row or column")
        return values[row * columns.count + column]
    }

    /// A whole number; nil for NULL and for anything else.
    public func integer(_ row: Int, _ column: Int) -> Int? { self[row, column].flatMap { Int($0) } }
}
