import FoundationEssentials
import Spool
import SystemPackage

/// The backlog for the loader, from the spool alone, so that it is available while the database is down.
///
/// An actor on its own queue, since it reads files.
actor SpoolStatisticsSource {
    private let executor = BlockingExecutor(label: "statistics.spool")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let directory: SpoolDirectory
    private let holdings: SpoolHoldings
    private let now: @Sendable () -> Int64

    init(directory: SpoolDirectory, holdings: SpoolHoldings, now: @escaping @Sendable () -> Int64) {
        self.directory = directory
        self.holdings = holdings
        self.now = now
    }

    /// `GET /api/stats/spool`.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(statistics()), as: UTF8.self)
    }

    func statistics() throws(SpoolError) -> SpoolStatistics {
        let held = holdings.current
        let mark = directory.loadMark()
        let drainMark = directory.drainMark()
        var result = SpoolStatistics(
            spool: directory.identity, diskAvailableBytes: try directory.availableBytes(), lastLoad: mark?.loadedAt,
            lastDrain: drainMark?.drainedAt, lastLoadAt: mark?.loadedAtMilliseconds,
            lastDrainAt: drainMark?.drainedAtMilliseconds, devices: held.devices, ledgerBytes: held.ledgerBytes,
            failure: held.failure)
        result.deadLetterBytes = try deadLetterBytes()
        var oldest: Int64?
        for segment in try directory.segments() {
            // The loader may move or remove a segment at any moment; such a segment is not part of the backlog.
            guard let file = try? directory.disk.open(segment.path), let size = try? file.size() else { continue }
            result.bytes += size
            guard !segment.isLoaded else {
                result.loadedSegments += 1
                continue
            }
            result.pendingSegments += 1
            if let mark, segment.number < mark.segment { continue }
            let loaded = segment.number == mark?.segment ? mark : nil
            let left = max(0, held.records[segment.number, default: 0] - (loaded?.records ?? 0))
            guard left > 0 else { continue }
            let reader = try SegmentReader(file, path: segment.path, from: loaded?.bytes ?? 0)
            result.backlog.segments += 1
            result.backlog.records += left
            result.backlog.bytes += max(0, reader.end - reader.offset)
            if oldest == nil { oldest = try Self.firstReceipt(reader) }
        }
        if let oldest { result.backlog.oldestAgeSeconds = max(0, Double(now() - oldest) / 1000) }
        return result
    }

    private func deadLetterBytes() throws(SpoolError) -> Int {
        do throws(Errno) {
            var bytes = 0
            for name in try directory.disk.names(in: directory.rejected) where name.hasSuffix(".ndjson") {
                bytes += (try? directory.disk.open(directory.rejected.appending(name)).size()) ?? 0
            }
            return bytes
        } catch .noSuchFileOrDirectory {
            return 0
        } catch {
            throw .disk("list", directory.rejected, error)
        }
    }

    private static func firstReceipt(_ reader: SegmentReader) throws(SpoolError) -> Int64? {
        while let event = try reader.next() {
            if case .record(let record) = event { return record.receivedAt }
        }
        return nil
    }
}
