import FoundationEssentials
import Spool

/// `GET /api/stats/spool`: what waits for the loader, from the spool alone, so that it answers with the database away.
///
/// An actor on a queue of its own, since it reads files.
actor SpoolStatisticsSource {
    private let executor = BlockingExecutor(label: "statistics.spool")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let directory: SpoolDirectory
    private let holdings: SpoolHoldings
    private let now: @Sendable () -> Int64

    private struct Statistics: Encodable {
        struct Backlog: Encodable {
            /// Segments, bytes and records that are not loaded.
            var segments = 0
            var bytes = 0
            var records = 0
            /// Age of the oldest of them in seconds, null when there is none.
            var oldestAgeSeconds: Double?

            private enum CodingKeys: String, CodingKey {
                case segments, bytes, records
                case oldestAgeSeconds = "oldest_age_seconds"
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(segments, forKey: .segments)
                try container.encode(bytes, forKey: .bytes)
                try container.encode(records, forKey: .records)
                try container.encode(oldestAgeSeconds, forKey: .oldestAgeSeconds)
            }
        }

        var spool: String
        var backlog = Backlog()
        var loadedSegments = 0
        var diskAvailableBytes: Int
        var lastLoad: String?
        var devices: Int
        var ledgerBytes: Int
        var failure: String?

        private enum CodingKeys: String, CodingKey {
            case spool, backlog, devices, failure
            case loadedSegments = "loaded_segments"
            case diskAvailableBytes = "disk_available_bytes"
            case lastLoad = "last_load"
            case ledgerBytes = "ledger_bytes"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(spool, forKey: .spool)
            try container.encode(backlog, forKey: .backlog)
            try container.encode(loadedSegments, forKey: .loadedSegments)
            try container.encode(diskAvailableBytes, forKey: .diskAvailableBytes)
            try container.encode(lastLoad, forKey: .lastLoad)
            try container.encode(devices, forKey: .devices)
            try container.encode(ledgerBytes, forKey: .ledgerBytes)
            try container.encode(failure, forKey: .failure)
        }
    }

    init(directory: SpoolDirectory, holdings: SpoolHoldings, now: @escaping @Sendable () -> Int64) {
        self.directory = directory
        self.holdings = holdings
        self.now = now
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(statistics()), as: UTF8.self)
    }

    private func statistics() throws(SpoolError) -> Statistics {
        let held = holdings.current
        let mark = directory.loadMark()
        var result = Statistics(
            spool: directory.identity, diskAvailableBytes: try directory.availableBytes(), lastLoad: mark?.loadedAt,
            devices: held.devices, ledgerBytes: held.ledgerBytes, failure: held.failure)
        var oldest: Int64?
        for segment in try directory.segments() {
            guard !segment.isLoaded else {
                result.loadedSegments += 1
                continue
            }
            if let mark, segment.number < mark.segment { continue }
            let loaded = segment.number == mark?.segment ? mark : nil
            let left = max(0, held.records[segment.number, default: 0] - (loaded?.records ?? 0))
            guard left > 0 else { continue }
            // The loader may move the segment away at any moment; then it is no backlog either.
            guard let file = try? directory.disk.open(segment.path) else { continue }
            let reader = try SegmentReader(file, path: segment.path, from: loaded?.bytes ?? 0)
            result.backlog.segments += 1
            result.backlog.records += left
            result.backlog.bytes += max(0, reader.end - reader.offset)
            if oldest == nil { oldest = try Self.firstReceipt(reader) }
        }
        if let oldest { result.backlog.oldestAgeSeconds = max(0, Double(now() - oldest) / 1000) }
        return result
    }

    private static func firstReceipt(_ reader: SegmentReader) throws(SpoolError) -> Int64? {
        while let event = try reader.next() {
            if case .record(let record) = event { return record.receivedAt }
        }
        return nil
    }
}
