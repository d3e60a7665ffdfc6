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
