internal import Glibc
public import Spool
internal import Text
internal import Time

/// Checks whether the spool has free space, and how long it will last.
public struct RoomCheck {
    private let directory: SpoolDirectory
    private let limits: SpoolWriter.Limits
    private static let day = 86_400
    private static let fewestInodes = 1000

    public init(_ directory: SpoolDirectory, limits: SpoolWriter.Limits) {
        self.directory = directory
        self.limits = limits
    }

    public func results() -> [CheckResult] {
        do {
            return [try room()] + inodes()
        } catch {
            return [.fail("room", "\(error)", do: "check the disk (dmesg, df)")]
        }
    }

    private func room() throws(SpoolError) -> CheckResult {
        let available = try directory.availableBytes()
        let held = try directory.inventory().bytes
        var above = max(0, available - limits.reserveBytes)
        var limit = "the reserve of \(limits.reserveBytes.inBytes)"
        if let spoolBytes = limits.spoolBytes, max(0, spoolBytes - held) < above {
            above = max(0, spoolBytes - held)
            limit = "the rest of SPOOL_BYTES"
        }
        let free = limits.spoolBytes == nil ? "\(above.inBytes) free above \(limit)" : "\(above.inBytes) free, \(limit)"
        guard limits.leaveMargin(availableBytes: available, heldBytes: held) else {
            return .fail(
                "room", "\(free): batches are refused with 503, or soon will be",
                do: "let the loader catch up, shorten LOADER_RETENTION_SECONDS, or enlarge the disk")
        }
        guard let rate = try bytesPerSecond(), rate > 0 else { return .ok("room", free) }
        let hours = Int(min(Double(above) / rate / 3600, 1e9))
        let outlook = "\(free), enough for \(Self.span(hours)) at the last day's \(Int(rate).inBytes)/s"
        guard hours < 24 else { return .ok("room", outlook) }
        return .warn(
            "room", outlook,
            do: "shorten LOADER_RETENTION_SECONDS or enlarge the disk; if the loader stops for a day, the disk is full")
    }

    /// Hours in a unit that suits them: `19 h`, `12 days`, `9 years`.
    static func span(_ hours: Int) -> String {
        switch hours {
        case ..<48: "\(hours) h"
        case ..<17_532: "\(hours / 24) days"
        case ..<876_600: "\(hours / 8766) years"
        default: "more than 100 years"
        }
    }

    /// Received bytes per second during the last day, or nil if there is too little data for an estimate.
    private func bytesPerSecond() throws(SpoolError) -> Double? {
        let now = Int(Timestamp.now.unixSeconds)
        var bytes = 0
        var first: SpoolDirectory.Segment?
        for segment in try directory.segments() {
            var status = stat()
            guard stat(segment.path.string, &status) == 0, status.st_mtim.tv_sec > now - Self.day else { continue }
            // The loader may have moved it meanwhile. Compressed or not, it took as many bytes as its text has.
            guard let text = try? directory.disk.openSegment(segment.path).size() else { continue }
            first = first ?? segment
            bytes += text
        }
        guard let first, let file = try? directory.disk.openSegment(first.path) else { return nil }
        guard let record = try SegmentReader(file, path: first.path).nextRecord() else { return nil }
        let seconds = now - Int(record.receivedAt / 1000)
        return seconds < 60 ? nil : Double(bytes) / Double(seconds)
    }

    private func inodes() -> [CheckResult] {
        var status = statvfs()
        // Some file systems have no such limit and report 0 of 0.
        guard statvfs(directory.path.string, &status) == 0, status.f_files > 0, status.f_favail < Self.fewestInodes
        else { return [] }
        return [
            .fail(
                "room", "the disk has room for only \(status.f_favail) more files (df -i)",
                do: "remove files that are not needed")
        ]
    }
}
