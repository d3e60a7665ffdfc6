import Spool
import SystemPackage
import Time

extension DeadLetters {
    /// Removes the files of days that are older than `age`, and returns them.
    ///
    /// A file stays as long as a segment of its day or an earlier one does: `verify` looks for the dead letters of each
    /// segment that is left.
    func prune(olderThan age: Duration, now: Timestamp = .now, dryRun: Bool = false) throws(SpoolError) -> [FilePath] {
        guard let oldest = try oldestSegmentDay() else { return [] }
        let kept = (now - age).day.description
        let expired = try files().filter { path in
            let day = path.stem ?? ""
            // Days as text are in the order of time.
            return day.utf8.count == 10 && day < kept && day < oldest
        }
        if dryRun || expired.isEmpty { return expired }
        do throws(Errno) {
            for path in expired { try directory.disk.remove(path) }
            try directory.disk.synchronizeDirectory(directory.rejected)
        } catch {
            throw .disk("remove from", directory.rejected, error)
        }
        return expired
    }

    /// The day on which the oldest segment was created, or nil if it is not known.
    private func oldestSegmentDay() throws(SpoolError) -> Substring? {
        guard let segment = try directory.segments().first, let file = try? directory.disk.openSegment(segment.path)
        else {
            return nil
        }
        return try SegmentFirstLine(of: file, at: segment.path).header?.created.prefix(10)
    }
}
