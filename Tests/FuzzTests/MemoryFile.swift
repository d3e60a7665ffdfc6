import Seeds
import Spool
import SystemPackage

/// A file whose reads sometimes return fewer bytes than requested.
final class MemoryFile: DiskFile {
    private let content: [UInt8]
    private var random: SeededGenerator

    init(_ content: [UInt8], seed: UInt64) {
        self.content = content
        random = SeededGenerator(seed: seed)
    }

    func size() throws(Errno) -> Int { content.count }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        let rest = content.dropFirst(offset)
        let count = min(buffer.count, rest.count)
        let bytes = rest.prefix(count > 0 && random.oneIn(3) ? Int.random(in: 1...count, using: &random) : count)
        buffer.copyBytes(from: bytes)
        return bytes.count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int { throw .readOnlyFileSystem }
    func synchronize() throws(Errno) {}
    func dropPageCache() throws(Errno) {}
}
