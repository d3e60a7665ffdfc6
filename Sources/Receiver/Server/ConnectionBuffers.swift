import NIOCore

/// How many bytes a connection reads, holds back and hands to the kernel at once.
///
/// A stranger gets little memory, and few of its requests are answered before other connections have their turn. The body
/// of a client's batch is read in large pieces.
struct ConnectionBuffers {
    /// The largest buffer for one read.
    private let readBytes: Int
    /// Reads of a connection before others have their turn.
    private let reads: UInt
    /// The most bytes that the gate may hold back.
    private let heldBytes: Int
    /// The kernel's buffer for answers that the client has not read; Linux takes up to twice as much.
    private let sendBytes: Int

    static let ofStrangers = ConnectionBuffers(readBytes: 256, reads: 1, heldBytes: 32 << 10, sendBytes: 64 << 10)
    static let ofClients = ConnectionBuffers(readBytes: 64 << 10, reads: 4, heldBytes: 1 << 20, sendBytes: 1 << 20)

    func apply(to channel: any Channel, _ gate: RequestGate) {
        gate.maximumHeldBytes = heldBytes
        let allocator = AdaptiveRecvByteBufferAllocator(
            minimum: 64, initial: min(16 << 10, readBytes), maximum: readBytes)
        try? channel.syncOptions?.setOption(.recvAllocator, value: allocator)
        try? channel.syncOptions?.setOption(.maxMessagesPerRead, value: reads)
        try? channel.syncOptions?.setOption(.socketOption(.so_sndbuf), value: sendBytes)
    }
}
