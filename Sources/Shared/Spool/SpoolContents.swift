internal import SystemPackage
public import Text
public import Time

/// A spool's segments and its backlog, counted in the same way for the receiver's statistics and the loader's `status`.
public struct SpoolContents: Sendable {
    public struct Totals: Sendable, Encodable {
        public var segments = 0
        public var bytes = 0

        mutating func add(_ bytes: Int) {
            segments += 1
            self.bytes += bytes
        }
    }

    /// The records that are not loaded.
    public struct Backlog: Sendable, Encodable {
        /// Segments with such records, the segments' bytes that are not loaded, and the records.
        public var segments = 0
        public var bytes = 0
        public var records = 0
        /// Age of the oldest record in seconds, nil when there is none.
        @AlwaysEncoded public var oldestAgeSeconds: Double? = nil

        public init() {}

        private enum CodingKeys: String, CodingKey {
            case segments, bytes, records
            case oldestAgeSeconds = "oldest_age_seconds"
        }
    }

    /// A segment in `pending/`.
    public struct Pending: Sendable, Encodable {
        public let segment: Int
        public let bytes: Int
        public let loadedBytes: Int

        private enum CodingKeys: String, CodingKey {
            case segment, bytes
            case loadedBytes = "loaded_bytes"
        }
    }

    /// The part of a segment that is loaded.
    public struct LoadedPart: Sendable {
        public let bytes: Int
        public let records: Int

        public init(bytes: Int, records: Int) {
            self.bytes = bytes
            self.records = records
        }

        public static let none = LoadedPart(bytes: 0, records: 0)
        public static let all = LoadedPart(bytes: .max, records: .max)
    }

    public private(set) var pending = Totals()
    public private(set) var loaded = Totals()
    /// Those of the loaded ones that are compressed.
    public private(set) var compressed = Totals()
    public private(set) var pendingSegments: [Pending] = []
    public private(set) var backlog = Backlog()

    /// Reads the spool. The loader may move or remove a segment at any moment; such a segment is not counted.
    ///
    /// - Parameters:
    ///   - now: the present.
    ///   - records: the number of records in a pending segment, or nil if the caller does not know it. Then the footer has
    ///     the number, or the records behind the loaded part are counted.
    ///   - loadedPart: the part of a pending segment that is loaded.
    public init(
        of directory: SpoolDirectory, now: Timestamp, records: (SpoolDirectory.Segment) -> Int? = { _ in nil },
        loadedPart: (SpoolDirectory.Segment, any DiskFile) -> LoadedPart
    ) throws(SpoolError) {
        var oldestReceipt: Int64?
        for segment in try directory.segments() {
            guard let bytes = try? directory.disk.size(of: segment.path) else { continue }
            guard !segment.isLoaded else {
                loaded.add(bytes)
                if segment.isCompressed { compressed.add(bytes) }
                continue
            }
            pending.add(bytes)
            guard let file = try? directory.disk.open(segment.path) else { continue }
            let part = loadedPart(segment, file)
            let loadedBytes = min(part.bytes, bytes)
            pendingSegments.append(Pending(segment: segment.number, bytes: bytes, loadedBytes: loadedBytes))
            guard loadedBytes < bytes else { continue }
            let left = try Self.unloadedRecords(of: file, segment, part, known: records(segment))
            guard left > 0 else { continue }
            backlog.segments += 1
            backlog.records += left
            backlog.bytes += bytes - loadedBytes
            if oldestReceipt == nil {
                oldestReceipt = try SegmentReader(file, path: segment.path, from: loadedBytes).nextRecord()?.receivedAt
            }
        }
        backlog.oldestAgeSeconds = oldestReceipt.map { Double(max(0, now.unixMilliseconds - $0)) / 1000 }
    }

    private static func unloadedRecords(
        of file: any DiskFile, _ segment: SpoolDirectory.Segment, _ part: LoadedPart, known: Int?
    ) throws(SpoolError) -> Int {
        let total =
            if let known { known } else {
                try Spool.disk("read", segment.path) { () throws(Errno) in try file.segmentFooter()?.records }
            }
        if let total { return total - part.records }
        let reader = try SegmentReader(file, path: segment.path, from: part.bytes)
        var count = 0
        while try reader.nextRecord() != nil { count += 1 }
        return count
    }
}

extension LoadMark {
    /// The part of a segment that is loaded according to the mark.
    public func part(ofSegment number: Int) -> SpoolContents.LoadedPart {
        if number < segment { return .all }
        return number == segment ? SpoolContents.LoadedPart(bytes: bytes, records: records) : .none
    }
}
