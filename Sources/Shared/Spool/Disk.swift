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
