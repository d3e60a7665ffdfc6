internal import CLinux
internal import Glibc
public import SystemPackage

/// The operating system's file system.
public struct SystemDisk: Disk {
    public init() {}

    public func create(_ path: FilePath) throws(Errno) -> any DiskFile {
        try SystemFile(path, O_RDWR | O_CREAT | O_EXCL)
    }

    public func openOrCreate(_ path: FilePath) throws(Errno) -> any DiskFile {
        try SystemFile(path, O_RDWR | O_CREAT)
    }

    public func open(_ path: FilePath) throws(Errno) -> any DiskFile {
        try SystemFile(path, O_RDONLY)
    }

    public func makeDirectory(_ path: FilePath) throws(Errno) {
        if mkdir(path.string, 0o750) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, !path.removingLastComponent().isEmpty else { throw .last }
        try makeDirectory(path.removingLastComponent())
        try check(mkdir(path.string, 0o750))
    }

    public func names(in directory: FilePath) throws(Errno) -> [String] {
        guard let stream = opendir(directory.string) else { throw .last }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw .last }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    public func rename(_ source: FilePath, to target: FilePath) throws(Errno) {
        try check(Glibc.rename(source.string, target.string))
    }

    public func link(_ source: FilePath, to target: FilePath) throws(Errno) {
        try check(Glibc.link(source.string, target.string))
    }

    public func remove(_ path: FilePath) throws(Errno) {
        try check(unlink(path.string))
    }

    public func synchronizeDirectory(_ path: FilePath) throws(Errno) {
        let descriptor = Glibc.open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last }
        defer { close(descriptor) }
        try check(fsync(descriptor))
    }

    public func size(of path: FilePath) throws(Errno) -> Int {
        var status = stat()
        try check(stat(path.string, &status))
        return status.st_size
    }

    public func availableBytes(at path: FilePath) throws(Errno) -> Int {
        var status = statvfs()
        try check(statvfs(path.string, &status))
        // Some file systems do not know their size, and report 0 of 0 blocks. That is no full disk: only a write can tell.
        guard status.f_blocks > 0 else { return .max }
        return Int(clamping: UInt64(status.f_bavail) &* UInt64(status.f_frsize))
    }
}

/// An open file descriptor.
private final class SystemFile: DiskFile {
    private let descriptor: CInt

    init(_ path: FilePath, _ flags: CInt) throws(Errno) {
        let opened = try retrying { Int(Glibc.open(path.string, flags | O_CLOEXEC, 0o640)) }
        descriptor = CInt(opened)
    }

    deinit { close(descriptor) }

    func size() throws(Errno) -> Int {
        var status = stat()
        try check(fstat(descriptor, &status))
        return status.st_size
    }

    func hasName() throws(Errno) -> Bool {
        var status = stat()
        try check(fstat(descriptor, &status))
        return status.st_nlink > 0
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try retrying { pread(descriptor, buffer.baseAddress, buffer.count, offset) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try retrying { pwrite(descriptor, bytes.baseAddress, bytes.count, offset) }
    }

    func startWriteback(_ range: Range<Int>) throws(Errno) {
        // sync_file_range(2) takes a count of 0 as "to the end of the file".
        guard !range.isEmpty,
            sync_file_range(descriptor, range.lowerBound, range.count, shelly_sync_file_range_write) != 0
        else { return }
        // Without this system call, fdatasync(2) does all of the writing. Any other failure may have lost pages.
        let cause = Errno.last
        if ![.noFunction, .notPermitted, .notSupported].contains(cause) { throw cause }
    }

    // Never retried, not even after EINTR: a second fdatasync(2) can return 0 for pages that the first one lost.
    func synchronize() throws(Errno) {
        try check(fdatasync(descriptor))
    }

    func takeOwner(of other: any DiskFile) throws(Errno) {
        guard let other = other as? SystemFile else { return }
        var (own, wanted) = (stat(), stat())
        try check(fstat(descriptor, &own))
        try check(fstat(other.descriptor, &wanted))
        // A sandbox may refuse the call even if it changes nothing.
        guard own.st_uid != wanted.st_uid || own.st_gid != wanted.st_gid else { return }
        try check(fchown(descriptor, wanted.st_uid, wanted.st_gid))
    }

    func dropPageCache() throws(Errno) {
        let cause = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        if cause != 0 { throw Errno(rawValue: cause) }
    }
}

private func check(_ result: CInt) throws(Errno) {
    if result != 0 { throw .last }
}

private func retrying(_ call: () -> Int) throws(Errno) -> Int {
    while true {
        let result = call()
        if result >= 0 { return result }
        if errno != EINTR { throw .last }
    }
}

extension Errno {
    /// The error of the last C call.
    static var last: Errno { Errno(rawValue: errno) }
}
