extension SegmentHeader {
    /// Why the segment does not belong in this spool under this number, one text for each reason.
    public func incompatibilities(in directory: SpoolDirectory, as number: Int) -> [String] {
        var incompatibilities: [String] = []
        if format != Self.formatName || version != Self.knownVersion {
            incompatibilities.append(
                "has format \(format) version \(version), this program supports \(Self.formatName) version "
                    + "\(Self.knownVersion)")
        }
        if spool != directory.identity {
            incompatibilities.append(
                "segment of another spool (\(spool), this one is \(directory.identity)); 'shelly-loader replay' loads it"
            )
        }
        if segment != number {
            incompatibilities.append("its header names segment \(SpoolPosition.digits(segment)); was the file renamed?")
        }
        return incompatibilities
    }
}
