internal import CZstd
internal import SystemPackage

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
