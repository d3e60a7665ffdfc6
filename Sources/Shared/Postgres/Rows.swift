/// What a statement returned, values as PostgreSQL's text.
public struct Rows: Sendable {
    public let columns: [String]
    /// Rows inserted, updated, deleted or selected, as the command's tag says.
    public let affected: Int
    private let values: [String?]

    init(columns: [String] = [], affected: Int = 0, values: [String?] = []) {
        self.columns = columns
        self.affected = affected
        self.values = values
    }

    /// Rows returned.
    public var count: Int { columns.isEmpty ? 0 : values.count / columns.count }

    /// A value, nil for NULL.
    public subscript(row: Int, column: Int) -> String? {
        precondition(row >= 0 && row < count && column >= 0 && column < columns.count, "no such row or column")
        return values[row * columns.count + column]
    }

    /// A whole number.
    public func integer(_ row: Int, _ column: Int) -> Int? { self[row, column].flatMap { Int($0) } }
}
