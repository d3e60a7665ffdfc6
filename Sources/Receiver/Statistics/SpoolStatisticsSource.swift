import Commit
import Spool
import Text
import Time

/// The backlog, from the spool alone, so that it is available while the database is down.
///
/// An actor on its own queue, since it reads files.
actor SpoolStatisticsSource {
    private let executor = BlockingExecutor(label: "statistics.spool")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let directory: SpoolDirectory
    private let spoolState: SpoolState
    private let now: @Sendable () -> Timestamp

    init(directory: SpoolDirectory, spoolState: SpoolState, now: @escaping @Sendable () -> Timestamp) {
        self.directory = directory
        self.spoolState = spoolState
        self.now = now
    }

    /// `GET /api/stats/spool`.
    func json() throws(SpoolError) -> String { JSONText(encoding: try statistics()).text }

    func statistics() throws(SpoolError) -> SpoolStatistics {
        let held = spoolState.current
        let mark = directory.loadMark()
        var result = SpoolStatistics(
            spool: directory.identity, diskAvailableBytes: try directory.availableBytes(), lastLoad: mark?.loadedAt,
            lastDrain: directory.drainMark()?.drainedAt, devices: held.devices, ledgerBytes: held.ledgerBytes,
            failure: held.failure)
        result.deadLetterBytes = try directory.deadLetterFiles().reduce(0) { bytes, file in
            bytes + ((try? directory.disk.size(of: file)) ?? 0)
        }
        let contents = try SpoolContents(
            of: directory, now: now(), records: { held.records[$0.number, default: 0] },
            loadedPart: { segment, _ in mark?.part(ofSegment: segment.number) ?? .none })
        result.backlog = contents.backlog
        result.pendingSegments = contents.pending.segments
        result.loadedSegments = contents.loaded.segments
        result.bytes = contents.pending.bytes + contents.loaded.bytes
        return result
    }
}
