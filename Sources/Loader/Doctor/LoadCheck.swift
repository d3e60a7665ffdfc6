import Checkup
import Postgres
import Spool
import Text
import Time

/// Checks the load: the backlog, dead letters, damage, and whether another loader drains the same spool.
struct LoadCheck {
    private let directory: SpoolDirectory
    private let database: Database
    private let deadLetterRetention: Duration?
    private let databaseSleep: Duration
    private static let late = 3600.0
    /// Pending segments are read for damage, up to this many bytes.
    private static let readBytes = 256 << 20

    /// - Parameter databaseSleep: time for which the loader leaves the database alone after each load.
    init(_ directory: SpoolDirectory, _ database: Database, deadLetterRetention: Duration?, databaseSleep: Duration) {
        self.databaseSleep = databaseSleep
        self.deadLetterRetention = deadLetterRetention
        self.directory = directory
        self.database = database
    }

    func results() -> [CheckResult] {
        do {
            let status = try SpoolStatus.read(directory, database)
            return [backlog(status), damage(), deadLetters(status), otherLoader(status)].compactMap(\.self)
        } catch {
            return [.fail("load", "\(error)", do: "check the spool's rights and its disk (dmesg)")]
        }
    }

    private func backlog(_ status: SpoolStatus) -> CheckResult {
        let last =
            (status.lastLoad.map { "last load \($0)" } ?? "nothing loaded yet") + "; loaded: \(status.loadedText)"
        guard let age = status.oldestUnloadedSeconds else { return .ok("load", "no record is pending; \(last)") }
        let text = "\(status.backlogBytes.inBytes) pending, the oldest for \(Age(seconds: Int64(age))); \(last)"
        guard age > Self.late + databaseSleep / .seconds(1) else { return .ok("load", text) }
        return .warn(
            "load", text,
            do: status.loader == nil
                ? "start the loader: 'shelly-loader drain', from a timer or with --follow"
                : "check the loader's log, and the database's load")
    }

    private func damage() -> CheckResult? {
        var ranges = 0
        var bytes = 0
        for segment in (try? directory.segments()) ?? [] where !segment.isLoaded && bytes < Self.readBytes {
            // The loader may have moved it meanwhile.
            guard let file = try? directory.disk.open(segment.path),
                let reader = try? SegmentReader(file, path: segment.path)
            else { continue }
            while bytes < Self.readBytes, let event = try? reader.next() {
                if case .damage = event { ranges += 1 }
                if case .record(let record) = event { bytes += record.range.count }
            }
        }
        guard ranges > 0 else { return nil }
        return .fail(
            "damage", "\(ranges.counted("byte range")) of the pending segments \(ranges == 1 ? "is" : "are") damaged",
            do: "run 'shelly-loader verify' for their positions; good records around them are loaded; check the disk "
                + "(dmesg, smartctl)")
    }

    private func deadLetters(_ status: SpoolStatus) -> CheckResult? {
        guard status.deadLetters.lines > 0 else { return nil }
        let bytes = (try? directory.inventory().deadLetterBytes) ?? 0
        let end = deadLetterRetention.map { "kept for \($0.components.seconds) s" } ?? "kept until you remove them"
        return .warn(
            "dead letters",
            "\(status.deadLetters.lines.counted("dead letter")): data that could not be loaded; \(bytes.inBytes), \(end)",
            do: "read the reasons in \(directory.rejected); 'shelly-loader replay --rejected' tries them again")
    }

    /// Detects that a loader of a copy of the spool, or on another machine, has the lease.
    private func otherLoader(_ status: SpoolStatus) -> CheckResult? {
        guard let connection = try? database.connect() else { return nil }
        let lease = SpoolLease(of: directory, beside: database.table)
        guard let holder = try? lease.currentHolder(on: connection), holder != lease.holder else { return nil }
        return .fail(
            "load",
            "a loader elsewhere (\(holder)) drains a spool with the same identity into this database",
            do: "stop one of the two; a copy of a spool must not be drained, but can be replayed")
    }
}
