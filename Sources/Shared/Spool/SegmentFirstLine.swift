public import SystemPackage

/// A segment's first line, read without the rest of the file.
public struct SegmentFirstLine: Sendable {
    /// Nil if the first line is not a header.
    public let header: SegmentHeader?
    /// Whether the line is complete or longer than any header. A live segment's first line may not be written yet.
    public let isWhole: Bool

    init(header: SegmentHeader?, isWhole: Bool) {
        self.header = header
        self.isWhole = isWhole
    }

    public init(of file: any DiskFile, at path: FilePath) throws(SpoolError) {
        self = try Spool.disk("read", path) { () throws(Errno) in try file.segmentFirstLine() }
    }
}

extension SegmentHeader {
    /// Why the segment does not belong in this spool under this number, one text for each reason.
    public func objections(in directory: SpoolDirectory, as number: Int) -> [String] {
        var objections: [String] = []
        if format != Self.formatName || version != Self.knownVersion {
            objections.append(
                "has format \(format) version \(version), this program supports \(Self.formatName) version "
                    + "\(Self.knownVersion)")
        }
        if spool != directory.identity {
            objections.append(
                "segment of another spool (\(spool), this one is \(directory.identity)); 'shelly-loader replay' loads it"
            )
        }
        if segment != number {
            objections.append("its header names segment \(SpoolPosition.digits(segment)); was the file renamed?")
        }
        return objections
    }
}
