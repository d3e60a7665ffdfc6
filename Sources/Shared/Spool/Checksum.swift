internal import CCrc32c

/// CRC-32C (Castagnoli), by the processor's own instruction where it has one.
public enum Checksum {
    /// The checksum of the bytes, behind others if their checksum is given.
    static func of(_ bytes: UnsafeRawBufferPointer, behind checksum: UInt32 = 0) -> UInt32 {
        shelly_crc32c(checksum, bytes.baseAddress, bytes.count)
    }

    /// The checksum of the bytes in 8 hexadecimal digits.
    public static func text(of bytes: ArraySlice<UInt8>) -> String {
        let crc = bytes.withUnsafeBytes { of($0) }
        let text = String(crc, radix: 16)
        return String(repeating: "0", count: 8 - text.utf8.count) + text
    }
}
