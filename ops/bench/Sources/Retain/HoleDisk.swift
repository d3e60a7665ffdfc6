import Disks
import Spool
import SystemPackage

/// Writes no more than the first and the last line of a segment. Only this program uses it, with one thread.
final class HoleFile: ForwardingFile {
    let file: any DiskFile
    init(_ file: any DiskFile) { self.file = file }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        let first = bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
        if bytes.count > 4096 {
            if offset == 0 { _ = try file.write(UnsafeRawBufferPointer(rebasing: bytes[..<first]), at: 0) }
        } else {
            _ = try file.write(bytes, at: offset)
        }
        return bytes.count
    }
    func startWriteback(_ range: Range<Int>) throws(Errno) {}
    func synchronize() throws(Errno) {}
    func dropPageCache() throws(Errno) {}
    func hasName() throws(Errno) -> Bool { true }
}

struct HoleDisk: ForwardingDisk {
    func create(_ path: FilePath) throws(Errno) -> any DiskFile { HoleFile(try SystemDisk().create(path)) }
    func availableBytes(at path: FilePath) throws(Errno) -> Int { .max }
}
