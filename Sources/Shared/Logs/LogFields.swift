/// Typed fields for a log line in a fixed order, passed as the one value of a metadata entry.
///
/// They are for frequent lines: one value costs less than a dictionary of values, and numbers stay numbers in JSON.
///
///     logger.info("batch", metadata: ["batch": .stringConvertible(summary)])
public protocol LogFields: CustomStringConvertible, Sendable {
    func add(to line: inout LogLine)
}

extension LogFields {
    /// The fields as in a text line.
    public var description: String {
        var line = LogLine(.text)
        add(to: &line)
        return String(decoding: line.bytes.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
    }
}
