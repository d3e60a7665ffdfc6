/// The names of segments' files: `00000017.spool`, and `00000017.spool.zst` when it is compressed.
///
/// A name is examined by its bytes, since a spool has thousands of them and `String` compares characters.
public enum SegmentFileName {
    /// The end of a compressed segment's name, behind the name of the plain file.
    static let compressedSuffix = ".zst"
    private static let suffix = ".spool"
    private static let ends = (plain: Array(suffix.utf8), compressed: Array((suffix + compressedSuffix).utf8))

    /// The name of a segment that is not compressed.
    static func plain(_ number: Int) -> String { SpoolPosition.digits(number) + suffix }

    /// Whether a file is a compressed segment by its name or its path.
    public static func isCompressed(_ name: String) -> Bool {
        name.utf8.suffix(compressedSuffix.utf8.count).elementsEqual(compressedSuffix.utf8)
    }

    /// The number in a segment's file name, or nil if `name` is not a segment's name.
    public static func number(of name: String) -> Int? { parts(of: name)?.number }

    /// The parts of a segment's file name, or nil if `name` is not a segment's name.
    static func parts(of name: String) -> (number: Int, isCompressed: Bool)? {
        var name = name
        return name.withUTF8 { bytes in
            let digits = bytes.prefix { 0x30...0x39 ~= $0 }
            let end = bytes[digits.endIndex...]
            let isCompressed = end.elementsEqual(ends.compressed)
            guard digits.count >= 8, isCompressed || end.elementsEqual(ends.plain),
                let number = Int(String(decoding: digits, as: UTF8.self))
            else { return nil }
            return (number, isCompressed)
        }
    }
}
