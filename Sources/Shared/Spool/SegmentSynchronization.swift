internal import SystemPackage

/// A pending fsync of everything written to a segment so far. The writer may write more meanwhile.
///
/// Unchecked because of the file. This type calls only `DiskFile.synchronize` and `hasName` on it, which any thread may
/// call at any time.
public struct SegmentSynchronization: @unchecked Sendable {
    /// Number of the segment.
    let segment: Int
    /// Length in bytes that will be durable.
    let bytes: Int
    /// Records that will be durable.
    let records: Int
    let file: any DiskFile
    let path: FilePath
    /// The spool whose directory entry for the segment is not durable yet; nil if it is.
    let directory: SpoolDirectory?

    /// Returns when everything is durable. After a failure none of it is valid, and the fsync is never retried
    /// (invariant 5).
    ///
    /// - Returns: how long fdatasync(2) took.
    @discardableResult
    public func run() throws(SpoolError) -> Duration {
        let started = ContinuousClock.now
        try Spool.disk("synchronize", path) { () throws(Errno) in try file.synchronize() }
        let took = started.duration(to: .now)
        if let directory {
            let pending = directory.pending
            try Spool.disk("synchronize", pending) { () throws(Errno) in
                try directory.disk.synchronizeDirectory(pending)
            }
        }
        let hasName = try Spool.disk("examine", path) { () throws(Errno) in try file.hasName() }
        guard hasName else { throw .unfit(path, "was removed while it was written") }
        return took
    }
}
