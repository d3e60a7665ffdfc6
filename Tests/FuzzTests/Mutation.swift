import Seeds

/// Changes of bytes that ignore the format of the bytes.
extension SeededGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }

    /// Changes one place of `bytes`. Returns the range of the old bytes that are not intact: the replaced or removed
    /// ones, or the one before which bytes were inserted.
    mutating func mutate(_ bytes: inout [UInt8]) -> Range<Int> {
        guard !bytes.isEmpty else { return 0..<0 }
        var start = Int.random(in: bytes.indices, using: &self)
        // Line ends are prone to errors of the reader.
        if oneIn(3), let end = bytes[start...].firstIndex(of: 0x0A) {
            start = min(bytes.count - 1, end + Int(oneIn(2) ? 1 : 0))
        }
        let length = min(bytes.count - start, oneIn(4) ? Int.random(in: 1...600, using: &self) : 1)
        let range = start..<(start + length)
        switch Int.random(in: 0..<9, using: &self) {
        case 0, 1:
            bytes[start] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            return start..<(start + 1)
        case 2: bytes.replaceSubrange(range, with: self.bytes(length))
        case 3: bytes.replaceSubrange(range, with: repeatElement(0, count: length))
        case 4: bytes.removeSubrange(range)
        case 5:
            // Inserts a copy of other bytes of the same array.
            let other = Int.random(in: bytes.indices, using: &self)
            let piece = Array(bytes[other..<min(bytes.count, other + Int.random(in: 1...300, using: &self))])
            bytes.insert(contentsOf: piece, at: start)
            return start..<(start + 1)
        case 6:
            bytes.removeSubrange(start...)
            return start..<Int.max
        case 7:
            bytes += self.bytes(Int.random(in: 1...4, using: &self))
            return 0..<0
        default:
            bytes.insert(contentsOf: self.bytes(Int.random(in: 1...4, using: &self)), at: start)
            return start..<(start + 1)
        }
        return range
    }
}
