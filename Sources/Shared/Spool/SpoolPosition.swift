/// A record's position in the spool: its segment and its sequence number, written `00000017:42`.
public struct SpoolPosition: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The segment's number, from 1. A spool never reuses a number.
    public let segment: Int
    /// The record's sequence number within the segment, from 1.
    public let sequence: Int

    public init(segment: Int, sequence: Int) {
        self.segment = segment
        self.sequence = sequence
    }

    public var description: String { "\(Self.digits(segment)):\(sequence)" }

    public static func < (a: SpoolPosition, b: SpoolPosition) -> Bool {
        (a.segment, a.sequence) < (b.segment, b.sequence)
    }

    /// A segment's number with at least eight digits, as in file names.
    public static func digits(_ segment: Int) -> String {
        let text = String(segment)
        return String(repeating: "0", count: max(0, 8 - text.utf8.count)) + text
    }
}
