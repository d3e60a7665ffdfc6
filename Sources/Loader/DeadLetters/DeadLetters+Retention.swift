import Readings
import Spool
import SystemPackage
import Time

extension DeadLetters {
    /// Removes the files of days that are older than `age`, and returns them.
    ///
    /// A file stays as long as the spool has a segment of its day or of an earlier one, or a damaged segment with a dead
    /// letter in the file: `verify` looks for the dead letters of each segment that is left.
    func prune(olderThan age: Duration, now: Timestamp = .now, dryRun: Bool = false) throws(SpoolError) -> [FilePath] {
        let segments = try directory.segments()
        guard let first = directory.oldest(of: segments), let oldest = try day(of: first) else { return [] }
        let kept = (now - age).day.description
        let damaged = Set(segments.map(\.number).prefix { $0 < first.number })
        var expired: [FilePath] = []
        for path in try files() {
            let day = path.stem ?? ""
            // Days as text are in the order of time.
            guard day.utf8.count == 10, day < kept, day < oldest else { continue }
            if !damaged.isEmpty, try hasDeadLetter(of: damaged, path) { continue }
            expired.append(path)
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

    /// The day on which a segment was created, or nil if it is not known.
    private func day(of segment: SpoolDirectory.Segment) throws(SpoolError) -> Substring? {
        guard let file = try? directory.disk.openSegment(segment.path) else { return nil }
        return try SegmentFirstLine(of: file, at: segment.path).header?.created.prefix(10)
    }

    private func hasDeadLetter(of segments: Set<Int>, _ path: FilePath) throws(SpoolError) -> Bool {
        let deadLetter = JSONMembers()
        var isFound = false
        try Self.forEachLine(of: path, directory.disk) { line in
            guard !isFound, deadLetter.read(line), let record = deadLetter.string(of: "record") else { return }
            let number = Int(String(decoding: record.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self))
            isFound = number.map(segments.contains) ?? false
        }
        return isFound
    }
}
