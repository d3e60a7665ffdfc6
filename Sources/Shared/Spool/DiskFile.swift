public import SystemPackage

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

    /// These bytes of the file, or fewer if the file ends earlier, or if a read returned `delimiter`.
    func bytes(_ range: Range<Int>, until delimiter: UInt8? = nil) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        var count = 0
        while count < range.count {
            let position = count
            let more = try bytes.withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
                let rest = UnsafeMutableBufferPointer(rebasing: buffer[position...])
                return try read(into: UnsafeMutableRawBufferPointer(rest), at: range.lowerBound + position)
            }
            if more == 0 { break }
            count += more
            if let delimiter, bytes[position..<count].contains(delimiter) { break }
        }
        return Array(bytes.prefix(count))
    }
}
