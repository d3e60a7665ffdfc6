internal import CZstd
internal import SystemPackage

/// Compresses bytes into independent zstd frames, each with its content size and a checksum (libzstd).
final class ZstdCompressor {
    /// Level 3 is the library's own default: higher levels make text of this kind little smaller, and take much longer.
    private static let level: CInt = 3
    private let context: OpaquePointer

    init() throws(Errno) {
        guard let context = ZSTD_createCCtx() else { throw .noMemory }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// One frame with the bytes (ZSTD_compress2).
    func frame(of bytes: [UInt8]) throws(Errno) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        let count = frame.withUnsafeMutableBytes { frame in
            bytes.withUnsafeBytes {
                ZSTD_compress2(context, frame.baseAddress, frame.count, $0.baseAddress, $0.count)
            }
        }
        // The frame has room for any content, so only memory can be missing.
        guard ZSTD_isError(count) == 0 else { throw .noMemory }
        frame.removeLast(frame.count - count)
        return frame
    }
}

/// Decompresses frames (libzstd).
final class ZstdDecompressor {
    private let context: OpaquePointer

    init() throws(Errno) {
        guard let context = ZSTD_createDCtx() else { throw .noMemory }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Fills `content` from one frame (ZSTD_decompressDCtx).
    ///
    /// - Returns: nil, or why the frame does not have exactly this much content.
    func decompress(_ frame: UnsafeRawBufferPointer, into content: UnsafeMutableRawBufferPointer) -> String? {
        let count = ZSTD_decompressDCtx(
            context, content.baseAddress, content.count, frame.baseAddress, frame.count)
        if ZSTD_isError(count) != 0 { return String(cString: ZSTD_getErrorName(count)) }
        return count == content.count ? nil : "it has \(count) bytes of text in place of \(content.count)"
    }
}

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
