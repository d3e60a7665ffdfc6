/// A file of keys, one per line.
///
/// Blank lines and lines that begin with `#` are comments. Spaces around a key are ignored.
enum KeyFile {
    /// Reads the keys from the file at this path, at least one.
    static func read(_ path: String) throws(SmallFile.ReadError) -> [String] {
        guard let text = String(validating: try SmallFile.read(path), as: UTF8.self) else {
            throw SmallFile.ReadError("not text in UTF-8")
        }
        return try keys(in: text)
    }

    /// The keys in the text of such a file.
    static func keys(in text: String) throws(SmallFile.ReadError) -> [String] {
        var keys: [String] = []
        var number = 0
        // At any line break: in Swift "\r\n" is one character, different from "\n". A byte order mark is no key.
        for line in text.drop(while: { $0 == "\u{FEFF}" }).split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        {
            number += 1
            let spaceless = line.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()
            let key = String(spaceless)
            // By scalars: with a combining mark behind it a comma is another character.
            if key.isEmpty || key.unicodeScalars.first == "#" { continue }
            guard key.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
                throw SmallFile.ReadError("line \(number) has a control character, which an HTTP header cannot carry")
            }
            guard !key.unicodeScalars.contains(",") else {
                throw SmallFile.ReadError("line \(number) has a comma: write one key per line")
            }
            keys.append(key)
        }
        guard !keys.isEmpty else { throw SmallFile.ReadError("contains no key: write one key per line") }
        return keys
    }
}
