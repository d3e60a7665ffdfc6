public import SystemPackage

/// The file operations that the spool rests on: its one seam, so that a test can stand a failing disk behind it.
///
/// Every operation is one system call's worth and fails with that call's `Errno`; what failure means is decided above.
public protocol Disk: Sendable {
    /// Creates a file for writing; `fileExists` when there is one (open(2) `O_CREAT | O_EXCL`).
    func create(_ path: FilePath) throws(Errno) -> any DiskFile
    /// Opens a file for reading and writing, and makes it when there is none (open(2) `O_CREAT`).
    func openOrCreate(_ path: FilePath) throws(Errno) -> any DiskFile
    /// Opens a file for reading and synchronizing (open(2) `O_RDONLY`).
    func open(_ path: FilePath) throws(Errno) -> any DiskFile
    /// Makes a directory with its parents; one that is there is fine.
    func makeDirectory(_ path: FilePath) throws(Errno)
    /// The names in a directory, in no order (readdir(3)).
    func names(in directory: FilePath) throws(Errno) -> [String]
    /// Renames within a file system; a file at `target` is replaced (rename(2)).
    func rename(_ source: FilePath, to target: FilePath) throws(Errno)
    /// Gives a file a second name; `fileExists` when that is taken (link(2)).
    func link(_ source: FilePath, to target: FilePath) throws(Errno)
    /// Removes a file (unlink(2)).
    func remove(_ path: FilePath) throws(Errno)
    /// Makes the directory's entries durable (fsync(2) of the directory).
    func synchronizeDirectory(_ path: FilePath) throws(Errno)
    /// The length in bytes of the file at `path` (stat(2)).
    func size(of path: FilePath) throws(Errno) -> Int
    /// Bytes that an ordinary process may still write to the file system at `path` (statvfs(3)).
    func availableBytes(at path: FilePath) throws(Errno) -> Int
}

extension Disk {
    /// Where there is no such operation: that of the open file.
    public func size(of path: FilePath) throws(Errno) -> Int { try open(path).size() }
}

/// An open file of a `Disk`; closed when the last reference goes.
public protocol DiskFile: AnyObject {
    /// The file's length in bytes (fstat(2)).
    func size() throws(Errno) -> Int
    /// Reads at `offset` and returns how many bytes came, 0 at the end (pread(2)).
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int
    /// Writes at `offset` and returns how many bytes were taken, perhaps fewer than given (pwrite(2)).
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int
    /// Has the disk begin with what was written there, and waits for nothing (sync_file_range(2)
    /// `SYNC_FILE_RANGE_WRITE`). It promises nothing: only `synchronize` makes contents durable.
    func beginWriting(_ range: Range<Int>) throws(Errno)
    /// Makes the file's contents durable (fdatasync(2)). Another thread may write meanwhile: what was written before the
    /// call is durable after it.
    func synchronize() throws(Errno)
    /// Lets go of what memory holds of the file, so that what is read next comes from the disk (posix_fadvise(2)
    /// `POSIX_FADV_DONTNEED`).
    func refresh() throws(Errno)
    /// Whether the file still has a name; one that was removed is gone when it is closed, synchronized or not (fstat(2)).
    func hasName() throws(Errno) -> Bool
}

extension DiskFile {
    /// Files on no disk that could begin.
    public func beginWriting(_ range: Range<Int>) throws(Errno) {}

    /// Files that nobody can remove behind our back.
    public func hasName() throws(Errno) -> Bool { true }

    /// Writes all of `bytes` at `offset`, in as many calls as it takes.
    public func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = try write(rest, at: offset + written)
            // pwrite of a non-empty buffer to a regular file never returns 0; if it did, this would spin.
            guard count > 0 else { throw .ioError }
            written += count
        }
    }
}
