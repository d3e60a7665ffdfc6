/// When rows are copied. A `COPY` that fails leaves its rows dead in the table, so it rests until the statement has inserted
/// eight times as many without a duplicate, and twice as many after each further failure.
struct CopyRest {
    private var rest = 0
    private var new = 0

    var isOver: Bool { new >= rest }

    /// Before a `COPY` of so many rows, so that one which ends the transaction counts as well.
    mutating func begin(_ rows: Int) { (rest, new) = (max(8 * rows, min(2 * rest, 1 << 40)), 0) }

    /// After rows were inserted by the statement.
    mutating func inserted(_ rows: Int, areNew: Bool) { new = areNew ? min(new + rows, rest) : 0 }
}
