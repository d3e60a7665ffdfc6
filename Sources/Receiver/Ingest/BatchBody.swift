import NIOCore
import Readings

/// The body of a batch as it arrives, and its place among the batches in flight.
///
/// A body has at most 16 MiB. `ConcurrencyLimiter` limits the total of all bodies.
final class BatchBody {
    static let maximumBytes = 16 << 20
    /// Reserved for a body at once. The rest is reserved as it arrives: a client that declares a long body and does not
    /// send it must not take the room of others.
    private static let initialBytes = 256 << 10

    private let inFlight: ConcurrencyLimiter
    private let declared: Int?
    private var reserved = 0
    /// The body, followed by the padding that the decoder reads over.
    private var bytes: [UInt8] = []
    private var count = 0

    /// - Parameter declared: the length in the header, nil when the header has none.
    init(_ inFlight: ConcurrencyLimiter, declared: Int?) throws(Rejection) {
        guard declared ?? 0 <= Self.maximumBytes else { throw .tooLarge }
        guard inFlight.enter() else { throw .busy }
        self.inFlight = inFlight
        self.declared = declared
        guard let declared else { return }
        try reserve(min(declared, Self.initialBytes))
        bytes.reserveCapacity(reserved + BatchDecoder.padding)
    }

    // Gives back the place and the reserved bytes.
    deinit { inFlight.leave(reserved) }

    func append(_ chunk: ByteBuffer) throws(Rejection) {
        let size = count + chunk.readableBytes
        guard size <= Self.maximumBytes else { throw .tooLarge }
        if size > reserved {
            let step = max(64 << 10, reserved, size - reserved)
            try reserve(declared.map { min(step, max($0, size) - reserved) } ?? step)
        }
        bytes.append(contentsOf: chunk.readableBytesView)
        count = size
    }

    /// Runs `use` with the complete body, behind which `BatchDecoder.padding` more bytes are readable.
    func withBytes<T, Failure: Error>(
        _ use: (UnsafeRawBufferPointer) throws(Failure) -> T
    ) throws(Failure) -> T {
        bytes.append(contentsOf: repeatElement(0, count: BatchDecoder.padding))
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(Failure) in try use(UnsafeRawBufferPointer(rebasing: bytes[..<count])) }
        }
        return try result.get()
    }

    /// Hands over the body's bytes, so that the new owner can change them in place.
    func takeBytes() -> ArraySlice<UInt8> {
        defer { bytes = [] }
        return bytes[..<count]
    }

    private func reserve(_ bytes: Int) throws(Rejection) {
        guard inFlight.reserve(bytes) else { throw .busy }
        reserved += bytes
    }
}
