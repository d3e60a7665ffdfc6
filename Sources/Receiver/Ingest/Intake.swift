import NIOCore
import Readings

/// One batch's way through the receiver: its place among those in flight, and its body as it arrives.
///
/// A body has at most 16 MiB, and all bodies together what `InFlight` allows.
final class Intake {
    static let maximumBytes = 16 << 20

    private let inFlight: InFlight
    private let declared: Int?
    private var reserved = 0
    /// The body, and behind its end the padding that the decoder reads over.
    private var bytes: [UInt8] = []
    private var count = 0

    /// - Parameter declared: the length that the header states, nil when it states none.
    init(_ inFlight: InFlight, declared: Int?) throws(Rejection) {
        guard declared ?? 0 <= Self.maximumBytes else { throw .tooLarge }
        guard inFlight.enter() else { throw .busy }
        self.inFlight = inFlight
        self.declared = declared
        guard let declared else { return }
        try reserve(declared)
        bytes.reserveCapacity(declared + BatchDecoder.padding)
    }

    // Gives the place and the room back.
    deinit { inFlight.leave(reserved) }

    func append(_ chunk: ByteBuffer) throws(Rejection) {
        let size = count + chunk.readableBytes
        guard size <= Self.maximumBytes else { throw .tooLarge }
        // Without a declared length room is reserved in steps, as the body grows.
        if size > reserved { try reserve(max(64 << 10, reserved)) }
        bytes.append(contentsOf: chunk.readableBytesView)
        count = size
    }

    /// The body is whole: runs `use` with it, behind which `BatchDecoder.padding` more bytes are readable.
    func withBody<T, Failure: Error>(
        _ use: (UnsafeRawBufferPointer) throws(Failure) -> T
    ) throws(Failure) -> T {
        bytes.append(contentsOf: repeatElement(0, count: BatchDecoder.padding))
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(Failure) in try use(UnsafeRawBufferPointer(rebasing: bytes[..<count])) }
        }
        return try result.get()
    }

    /// Hands the body's bytes over, so that their new owner can change them in place.
    func takeBody() -> ArraySlice<UInt8> {
        defer { bytes = [] }
        return bytes[..<count]
    }

    private func reserve(_ bytes: Int) throws(Rejection) {
        guard inFlight.reserve(bytes) else { throw .busy }
        reserved += bytes
    }
}
