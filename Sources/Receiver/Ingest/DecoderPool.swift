import Readings
import Synchronization

/// Decoders that wait for work; their buffers are worth keeping.
final class DecoderPool: Sendable {
    // A decoder is not Sendable, for it serves one owner at a time. That is what the pool sees to: it is either in the
    // list or with the one caller of `withDecoder` that took it out.
    private struct Idle: @unchecked Sendable {
        let decoder: BatchDecoder
    }

    private let idle = Mutex<[Idle]>([])

    /// Runs `body` with a decoder that nobody else uses meanwhile. At most as many exist as run at the same time.
    func withDecoder<T, Failure: Error>(_ body: (BatchDecoder) throws(Failure) -> T) throws(Failure) -> T {
        let taken = idle.withLock { $0.popLast() } ?? Idle(decoder: BatchDecoder())
        defer { idle.withLock { $0.append(taken) } }
        return try body(taken.decoder)
    }
}
