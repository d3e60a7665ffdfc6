/// The names of segments' files: `00000017.spool`, and `00000017.spool.zst` when it is compressed.
///
/// A name is examined by its bytes, since a spool has thousands of them and `String` compares characters.
public enum SegmentFileName {
    /// The end of a compressed segment's name, behind the name of the plain file.
    static let compressedSuffix = ".zst"
    private static let suffix = ".spool"

    /// The name of a segment that is not compressed.
    static func plain(_ number: Int) -> String { SpoolPosition.digits(number) + suffix }

    /// Whether a file is a compressed segment by its name or its path.
    public static func isCompressed(_ name: String) -> Bool { name.utf8.ends(with: compressedSuffix) }

    /// The number in a segment's file name, or nil if `name` is not a segment's name.
    public static func number(of name: String) -> Int? {
        var digits = name.utf8[...]
        if digits.ends(with: compressedSuffix) { digits.removeLast(compressedSuffix.utf8.count) }
        guard digits.ends(with: suffix) else { return nil }
        digits.removeLast(suffix.utf8.count)
        guard digits.count >= 8, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return Int(Substring(digits))
    }
}

extension BidirectionalCollection<UInt8> {
    fileprivate func ends(with end: String) -> Bool { suffix(end.utf8.count).elementsEqual(end.utf8) }
}
