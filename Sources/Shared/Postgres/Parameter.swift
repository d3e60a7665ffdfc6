/// A value for `$1`, `$2`, … of a statement; nil is NULL.
///
/// The server infers a scalar's type from its place in the statement. An array contains its own type.
public enum Parameter: Sendable {
    case text(String?)
    case integer(Int64?)
    case double(Double?)
    case bool(Bool?)
    case array(BinaryArray)
}
