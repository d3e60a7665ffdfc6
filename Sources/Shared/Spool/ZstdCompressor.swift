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
