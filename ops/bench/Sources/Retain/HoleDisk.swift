import Spool
import SystemPackage

/// Writes no more than the first and the last line of a segment. Only this program uses it, with one thread.
final class HoleFile: DiskFile {
    let file: any DiskFile
    init(_ file: any DiskFile) { self.file = file }

    func size() throws(Errno) -> Int { try file.size() }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try file.read(into: buffer, at: offset)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        let first = bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
        if bytes.count > 4096 {
            if offset == 0 { _ = try file.write(UnsafeRawBufferPointer(rebasing: bytes[..<first]), at: 0) }
        } else {
            _ = try file.write(bytes, at: offset)
        }
        return bytes.count
    }
    func synchronize() throws(Errno) {}
    func dropPageCache() throws(Errno) {}
    func hasName() throws(Errno) -> Bool { true }
}

struct HoleDisk: Disk {
    let disk = SystemDisk()
    func create(_ path: FilePath) throws(Errno) -> any DiskFile { HoleFile(try disk.create(path)) }
    func openOrCreate(_ path: FilePath) throws(Errno) -> any DiskFile { try disk.openOrCreate(path) }
    func open(_ path: FilePath) throws(Errno) -> any DiskFile { try disk.open(path) }
    func makeDirectory(_ path: FilePath) throws(Errno) { try disk.makeDirectory(path) }
    func names(in directory: FilePath) throws(Errno) -> [String] { try disk.names(in: directory) }
    func rename(_ source: FilePath, to target: FilePath) throws(Errno) { try disk.rename(source, to: target) }
    func link(_ source: FilePath, to target: FilePath) throws(Errno) { try disk.link(source, to: target) }
    func remove(_ path: FilePath) throws(Errno) { try disk.remove(path) }
    func synchronizeDirectory(_ path: FilePath) throws(Errno) { try disk.synchronizeDirectory(path) }
    func availableBytes(at path: FilePath) throws(Errno) -> Int { .max }
}
