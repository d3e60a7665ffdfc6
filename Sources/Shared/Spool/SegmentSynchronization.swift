internal import SystemPackage

/// Makes durable what was written to a segment by the time that this was made; more may be written meanwhile.
///
/// Unchecked, because of the file, of which it only asks what another thread may at any time: `DiskFile.synchronize` and
/// `hasName`.
public struct SegmentSynchronization: @unchecked Sendable {
    /// Number of the segment.
    let segment: Int
    /// Length in bytes of what will be durable.
    let bytes: Int
    /// Records that will be durable.
    let records: Int
    let file: any DiskFile
    let path: FilePath
    /// Where the segment has a name that is not durable yet.
    let directory: SpoolDirectory?

    /// Returns when all is durable. After a failure nothing of it counts, and it is never tried again (invariant 5).
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
