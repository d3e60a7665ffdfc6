import Readings
import Synchronization

/// Idle decoders, kept because their buffers are worth reusing.
final class DecoderPool: Sendable {
    // A decoder is not Sendable because it serves one owner at a time. The pool ensures that: a decoder is either in
    // the list or with the one caller of `withDecoder` that took it out.
    private struct Idle: @unchecked Sendable {
        let decoder: BatchDecoder
    }

    private let rules: ReadingRules
    private let idle = Mutex<[Idle]>([])

    init(rules: ReadingRules) { self.rules = rules }

    /// Runs `body` with a decoder that no other caller uses meanwhile.
    ///
    /// The pool has at most one decoder per concurrent call.
    func withDecoder<T, Failure: Error>(_ body: (BatchDecoder) throws(Failure) -> T) throws(Failure) -> T {
        let taken = idle.withLock { $0.popLast() } ?? Idle(decoder: BatchDecoder(rules: rules))
        defer { idle.withLock { $0.append(taken) } }
        return try body(taken.decoder)
    }
}
