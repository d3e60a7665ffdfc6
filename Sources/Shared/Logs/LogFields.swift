/// Facts that go into a log line in an order and with types of their own, as the one value of a metadata entry.
///
/// For lines that are written often: one value costs less than a dictionary of them, and numbers stay numbers in JSON.
///
///     logger.info("batch", metadata: ["batch": .stringConvertible(summary)])
public protocol LogFields: CustomStringConvertible, Sendable {
    func add(to line: inout LogLine)
}

extension LogFields {
    /// The fields as they stand in a line for people.
    public var description: String {
        var line = LogLine(.text)
        add(to: &line)
        return String(decoding: line.bytes.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
    }
}
