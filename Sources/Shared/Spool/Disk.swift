public import SystemPackage

/// The file operations that the spool uses, as a protocol so that a test can substitute a failing disk.
///
/// Every operation corresponds to one system call and throws that call's `Errno`. The caller decides how to handle it.
public protocol Disk: Sendable {
    /// Creates a file for writing. Throws `fileExists` if the file exists (open(2) `O_CREAT | O_EXCL`).
    func create(_ path: FilePath) throws(Errno) -> any DiskFile
    /// Opens a file for reading and writing, and creates it if it does not exist (open(2) `O_CREAT`).
    func openOrCreate(_ path: FilePath) throws(Errno) -> any DiskFile
    /// Opens a file for reading and for fdatasync(2) (open(2) `O_RDONLY`).
    func open(_ path: FilePath) throws(Errno) -> any DiskFile
    /// Creates a directory and its parents. A directory that exists is not an error.
    func makeDirectory(_ path: FilePath) throws(Errno)
    /// The names in a directory, unordered (readdir(3)).
    func names(in directory: FilePath) throws(Errno) -> [String]
    /// Renames a file within a file system, replacing a file at `target` (rename(2)).
    func rename(_ source: FilePath, to target: FilePath) throws(Errno)
    /// Adds a hard link to a file. Throws `fileExists` if `target` exists (link(2)).
    func link(_ source: FilePath, to target: FilePath) throws(Errno)
    /// Removes a file (unlink(2)).
    func remove(_ path: FilePath) throws(Errno)
    /// Makes the directory's entries durable (fsync(2) of the directory).
    func synchronizeDirectory(_ path: FilePath) throws(Errno)
    /// The length in bytes of the file at `path` (stat(2)).
    func size(of path: FilePath) throws(Errno) -> Int
    /// Bytes that an unprivileged process may still write to the file system at `path` (statvfs(3)).
    func availableBytes(at path: FilePath) throws(Errno) -> Int
}

extension Disk {
    /// Opens the file and returns its length, for disks that do not implement this operation.
    public func size(of path: FilePath) throws(Errno) -> Int { try open(path).size() }
}

/// An open file of a `Disk`, closed when the last reference is released.
public protocol DiskFile: AnyObject {
    /// The file's length in bytes (fstat(2)).
    func size() throws(Errno) -> Int
    /// Reads at `offset` and returns the number of bytes read, 0 at the end of the file (pread(2)).
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int
    /// Writes at `offset` and returns the number of bytes written, which may be fewer than given (pwrite(2)).
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int
    /// Starts writeback of the range without waiting for it (sync_file_range(2) `SYNC_FILE_RANGE_WRITE`). It guarantees
    /// nothing: only `synchronize` makes contents durable.
    func startWriteback(_ range: Range<Int>) throws(Errno)
    /// Makes the file's contents durable (fdatasync(2)). Another thread may write meanwhile. All bytes written before
    /// the call are durable when it returns.
    func synchronize() throws(Errno)
    /// Drops the file's pages from the page cache, so that the next read comes from the disk (posix_fadvise(2)
    /// `POSIX_FADV_DONTNEED`).
    func dropPageCache() throws(Errno)
    /// Whether the file still has a name (fstat(2)). A removed file is lost when it is closed, synchronized or not.
    func hasName() throws(Errno) -> Bool
    /// Gives the file the owner and the group of another one, if they differ (fchown(2)).
    func takeOwner(of other: any DiskFile) throws(Errno)
    /// Why the byte at `offset`, which was read, is not the one that was written, if the file itself detects that.
    func damage(at offset: Int) -> String?
}

extension DiskFile {
    /// Does nothing, for files without writeback.
    public func startWriteback(_ range: Range<Int>) throws(Errno) {}

    /// Returns true, for files that no other process can remove.
    public func hasName() throws(Errno) -> Bool { true }

    /// Does nothing, for files without owners.
    public func takeOwner(of other: any DiskFile) throws(Errno) {}

    /// Returns nil, for files without checksums of their own.
    public func damage(at offset: Int) -> String? { nil }

    /// Writes all of `bytes` at `offset`, in as many calls as necessary.
    public func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = try write(rest, at: offset + written)
            // pwrite of a non-empty buffer to a regular file never returns 0. If it did, this loop would not end.
            guard count > 0 else { throw .ioError }
            written += count
        }
    }

    /// Writes all of `bytes` at `offset`.
    public func writeAll(_ bytes: ArraySlice<UInt8>, at offset: Int) throws(Errno) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(Errno) in
            try writeAll(UnsafeRawBufferPointer(bytes), at: offset)
        }
    }
}
