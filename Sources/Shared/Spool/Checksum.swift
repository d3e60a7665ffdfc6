internal import CCrc32c

/// CRC-32C (Castagnoli), by the processor's own instruction where it has one.
public enum Checksum {
    /// The checksum of the bytes in 8 hexadecimal digits.
    public static func text(of bytes: [UInt8]) -> String {
        let crc = bytes.withUnsafeBytes { shelly_crc32c(0, $0.baseAddress, $0.count) }
        let text = String(crc, radix: 16)
        return String(repeating: "0", count: 8 - text.utf8.count) + text
    }
}
