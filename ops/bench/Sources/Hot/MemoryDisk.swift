import Spool
import SystemPackage

/// A disk that takes everything, keeps only small files and costs nothing.
final class MemoryDisk: Disk, @unchecked Sendable {
    // One thread uses it.
    private var files: [FilePath: File] = [:]

    final class File: DiskFile {
        private var content: [UInt8] = []
        private var length = 0
        private static let kept = 4096

        func size() -> Int { length }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
            guard offset < content.count else { return 0 }
            let count = min(buffer.count, content.count - offset)
            buffer.copyBytes(from: content[offset..<(offset + count)])
            return count
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
            length = max(length, offset + bytes.count)
            if length <= Self.kept { content += bytes }
            return bytes.count
        }

        func synchronize() {}
        func dropPageCache() {}
    }

    func create(_ path: FilePath) throws(Errno) -> any DiskFile {
        guard files[path] == nil else { throw .fileExists }
        return openOrCreate(path)
    }

    func openOrCreate(_ path: FilePath) -> any DiskFile {
        let file = files[path] ?? File()
        files[path] = file
        return file
    }

    func open(_ path: FilePath) throws(Errno) -> any DiskFile {
        guard let file = files[path] else { throw .noSuchFileOrDirectory }
        return file
    }

    func makeDirectory(_ path: FilePath) {}
    func names(in directory: FilePath) -> [String] { [] }

    func rename(_ source: FilePath, to target: FilePath) {
        files[target] = files[source]
        files[source] = nil
    }

    func link(_ source: FilePath, to target: FilePath) throws(Errno) {
        guard files[target] == nil else { throw .fileExists }
        files[target] = files[source]
    }

    func remove(_ path: FilePath) { files[path] = nil }
    func synchronizeDirectory(_ path: FilePath) {}
    func availableBytes(at path: FilePath) -> Int { 1 << 50 }
}
