public import Spool
public import SystemPackage

/// A disk that passes the operations that it does not implement itself to the operating system.
public protocol ForwardingDisk: Disk {}

extension ForwardingDisk {
    private var system: SystemDisk { SystemDisk() }

    public func create(_ path: FilePath) throws(Errno) -> any DiskFile { try system.create(path) }
    public func openOrCreate(_ path: FilePath) throws(Errno) -> any DiskFile { try system.openOrCreate(path) }
    public func open(_ path: FilePath) throws(Errno) -> any DiskFile { try system.open(path) }
    public func makeDirectory(_ path: FilePath) throws(Errno) { try system.makeDirectory(path) }
    public func names(in directory: FilePath) throws(Errno) -> [String] { try system.names(in: directory) }
    public func rename(_ source: FilePath, to target: FilePath) throws(Errno) { try system.rename(source, to: target) }
    public func link(_ source: FilePath, to target: FilePath) throws(Errno) { try system.link(source, to: target) }
    public func remove(_ path: FilePath) throws(Errno) { try system.remove(path) }
    public func synchronizeDirectory(_ path: FilePath) throws(Errno) { try system.synchronizeDirectory(path) }
    public func size(of path: FilePath) throws(Errno) -> Int { try system.size(of: path) }
    public func availableBytes(at path: FilePath) throws(Errno) -> Int { try system.availableBytes(at: path) }
}

/// A file that passes the operations that it does not implement itself to another one.
public protocol ForwardingFile: DiskFile {
    var file: any DiskFile { get }
}

extension ForwardingFile {
    public func size() throws(Errno) -> Int { try file.size() }
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try file.read(into: buffer, at: offset)
    }
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try file.write(bytes, at: offset)
    }
    public func startWriteback(_ range: Range<Int>) throws(Errno) { try file.startWriteback(range) }
    public func synchronize() throws(Errno) { try file.synchronize() }
    public func dropPageCache() throws(Errno) { try file.dropPageCache() }
    public func hasName() throws(Errno) -> Bool { try file.hasName() }
    public func takeOwner(of other: any DiskFile) throws(Errno) {
        try file.takeOwner(of: (other as? any ForwardingFile)?.file ?? other)
    }
    public func damage(at offset: Int) -> String? { file.damage(at: offset) }
}
