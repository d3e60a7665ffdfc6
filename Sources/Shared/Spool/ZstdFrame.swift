internal import CZstd

/// Reads the structure of zstd's frames without decompressing them.
enum ZstdFrame {
    /// The first byte of every frame with content.
    static let firstByte = UInt8(truncatingIfNeeded: ZSTD_MAGICNUMBER)

    /// Whether a frame, with content or skippable, begins with these bytes.
    static func begins(_ bytes: ArraySlice<UInt8>) -> Bool {
        let first = bytes.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return bytes.count >= 4
            && (first == ZSTD_MAGICNUMBER || first & 0xFFFF_FFF0 == UInt32(ZSTD_MAGIC_SKIPPABLE_START))
    }

    /// Upper bound for the length of a frame's header, with its magic number.
    static let longestHeaderBytes = 18

    /// Upper bound for the length of a frame with so much content.
    static func longestBytes(ofContent bytes: Int) -> Int { ZSTD_compressBound(bytes) }

    /// The length of the content of the frame at the start of `bytes`, 0 for a skippable frame; nil if there is no frame,
    /// or if it does not state the length (ZSTD_getFrameContentSize).
    static func contentBytes(_ bytes: ArraySlice<UInt8>) -> Int? {
        let count = bytes.withUnsafeBytes { ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
        // The library's two codes for no length are the highest numbers.
        return Int(exactly: count)
    }

    /// The length of the frame at the start of `bytes`, or nil if it is not whole (ZSTD_findFrameCompressedSize).
    static func byteCount(_ bytes: ArraySlice<UInt8>) -> Int? {
        let count = bytes.withUnsafeBytes { ZSTD_findFrameCompressedSize($0.baseAddress, $0.count) }
        return ZSTD_isError(count) == 0 ? count : nil
    }
}
