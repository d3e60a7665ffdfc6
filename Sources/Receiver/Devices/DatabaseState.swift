/// Whether the database answered.
enum DatabaseState: String, Sendable {
    case ok
    /// Unreachable, too slow, or without the table; its data is missing.
    case away
}
