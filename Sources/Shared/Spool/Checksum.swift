internal import CCrc32c

/// CRC-32C (Castagnoli), computed with the processor's instruction where it has one.
public enum Checksum {
    /// The checksum of the bytes. If `checksum` is given, the bytes continue the ones that it covers.
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
