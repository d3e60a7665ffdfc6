/// Appends groups of records to a spool: opens, rotates and abandons segments. It has one owner, and its calls may
/// block.
public final class SpoolWriter {
    /// When to rotate segments, and how much space to leave free on the disk.
    public struct Limits: Sendable {
        /// A segment of this length in bytes is sealed.
        public var segmentBytes = 64 << 20
        /// A segment of this age is sealed, so that a quiet spool's readings also reach `loaded/`.
        public var segmentAge = Duration.seconds(3600)
        /// If the file system has fewer free bytes than this, writes are refused.
        public var reserveBytes = 64 << 20
        /// If all segments together have more bytes than this, writes are refused. nil means no limit except the
        /// disk's.
        public var spoolBytes: Int?

        public init() {}

        /// Bytes that may still be written.
        public func room(availableBytes: Int, heldBytes: Int) -> Int {
            max(0, min(availableBytes - reserveBytes, (spoolBytes ?? .max) - heldBytes))
        }

        /// Whether there is room for one more segment, or for an eighth of `spoolBytes` if that is less. Senders are
        /// thus warned before the spool is full.
        public func leaveMargin(availableBytes: Int, heldBytes: Int) -> Bool {
            let margin = min(segmentBytes, (spoolBytes ?? .max) / 8)
            guard availableBytes - margin >= reserveBytes else { return false }
            return spoolBytes.map { heldBytes + margin <= $0 } ?? true
        }
    }

    /// The number of the newest segment, 0 if there is none yet.
    public private(set) var newest: Int
    /// The open segment, or nil between two segments.
    public private(set) var segment: SegmentWriter?
    /// The first segment that retention had not reached when the spool was last counted, at the latest when the open
    /// segment was created. Earlier ones have been removed, or are kept because they are damaged.
    public private(set) var oldest = 0
    /// The number of the segment for the next records, unless writing them fails.
    public var next: Int { segment?.number ?? newest + 1 }

    public let directory: SpoolDirectory
    private let limits: Limits
    private let rules: String?
    private let clock: any Clock<Duration>
    /// Called after each group that became durable, with its number of records and the duration of fdatasync(2).
    public typealias Observer = @Sendable (_ records: Int, _ synchronizing: Duration) -> Void
    private let observer: Observer
    /// The last segment that is known to be durable. The next segment names it as its predecessor.
    private var predecessor: SegmentHeader.Predecessor?
    private var opened: @Sendable () -> Duration = { .zero }
    /// Bytes of all segments at the last count, plus the bytes appended since.
    private var heldBytes = 0
    private var counted: (@Sendable () -> Duration)?
    /// If the spool is full, its bytes are counted again after this time, as the loader may have freed space.
    private static let countAge = Duration.seconds(1)

    /// Continues the spool after segment `newest`. It never appends to an inherited segment (invariant 4).
    ///
    /// - Parameters:
    ///   - newest: the highest segment number in the spool, 0 for a new one.
    ///   - newestRecords: the number of durable records in that segment.
    ///   - rules: the reading rules of the records, for the headers; nil for the standard ones.
    public init(
        directory: SpoolDirectory, newest: Int, newestRecords: Int = 0, limits: Limits = Limits(),
        rules: String? = nil,
        clock: any Clock<Duration> = ContinuousClock(), observer: @escaping Observer = { _, _ in }
    ) {
        self.directory = directory
        self.newest = newest
        predecessor = newest == 0 ? nil : SegmentHeader.Predecessor(segment: newest, records: newestRecords)
        self.limits = limits
        self.rules = rules
        self.clock = clock
        self.observer = observer
    }

    /// Makes all of the records durable together.
    ///
    /// - Returns: their positions.
    /// - Throws: after a failure none of the group's records are valid. After a failed write or sync the segment is
    ///   abandoned, and the next call creates a new one (invariant 5).
    public func append(_ group: [NewRecord]) throws(SpoolError) -> [SpoolPosition] {
        if isDue { seal() }
        let positions = try write(group)
        do throws(SpoolError) {
            if let synchronization { markDurable(synchronization, took: try synchronization.run()) }
        } catch {
            discardSegment()
            throw error
        }
        return positions
    }

    /// Writes the records to the open segment, even if it is due. They all become durable when a `synchronization` that
    /// was created afterwards completes.
    ///
    /// - Returns: their positions.
    /// - Throws: after a failure none of the group's records are valid. If no segment is open afterwards, it was
    ///   abandoned. All of its unconfirmed records are then invalid too, even if an fsync of them succeeds.
    public func write(_ group: [NewRecord]) throws(SpoolError) -> [SpoolPosition] {
        try makeSure(of: group.reduce(0) { $0 + $1.bytes })
        let open = if let segment { segment } else { try begin() }
        do throws(SpoolError) {
            let before = open.writtenBytes
            let first = try open.write(group)
            heldBytes += open.writtenBytes - before
            return group.indices.map { SpoolPosition(segment: open.number, sequence: first + $0) }
        } catch {
            discardSegment()
            throw error
        }
    }

    /// The pending fsync of everything written so far, or nil between two segments. Another thread may run it during
    /// further writes.
    public var synchronization: SegmentSynchronization? { segment?.synchronization }

    /// Marks the records of a completed synchronization of the open segment as durable. `took` is its duration.
    public func markDurable(_ synchronization: SegmentSynchronization, took: Duration) {
        guard let segment, segment.number == synchronization.segment else {
            preconditionFailure("a record of a closed segment cannot be confirmed")
        }
        observer(synchronization.records - segment.records, took)
        segment.markDurable(synchronization)
    }

    /// Closes the open segment without a footer, after a failure. Unconfirmed records are invalid.
    public func discardSegment() {
        guard let discarded = segment else { return }
        closeSegment()
        // Without a durable record, a segment holds no acknowledged data. Such segments must not fill up a full disk.
        if discarded.records == 0 { try? directory.disk.remove(discarded.path) }
    }

    /// Time until the open segment is due for rotation, or nil if none is open.
    public var untilRotation: Duration? {
        segment == nil ? nil : max(.zero, limits.segmentAge - opened())
    }

    /// Whether the open segment has reached the length or age for rotation.
    public var isDue: Bool {
        guard let segment, let left = untilRotation else { return false }
        return segment.writtenBytes >= limits.segmentBytes || left <= .zero
    }

    /// A cleanly closed segment.
    public struct Sealed: Sendable {
        public let number: Int
        /// When it was created, as in its header.
        public let created: String
        public let records: Int
        /// Length of its file in bytes.
        public let bytes: Int
    }

    /// Closes the open segment with a footer if possible. A reader accepts a segment without a footer.
    ///
    /// - Returns: nil if no segment was open, or if its footer could not be written.
    @discardableResult
    public func seal() -> Sealed? {
        defer { closeSegment() }
        guard let segment, let bytes = try? segment.seal() else { return nil }
        return Sealed(number: segment.number, created: segment.created, records: segment.records, bytes: bytes)
    }

    private func closeSegment() {
        if let segment, segment.records > 0 {
            predecessor = SegmentHeader.Predecessor(segment: segment.number, records: segment.records)
        }
        segment = nil
    }

    /// Bytes that may still be written, by the last count of the spool.
    public func room() throws(SpoolError) -> Int {
        limits.room(availableBytes: try directory.availableBytes(), heldBytes: heldBytes)
    }

    /// Checks that there is room for so many bytes in addition to the reserve.
    private func makeSure(of bytes: Int) throws(SpoolError) {
        let available = try directory.availableBytes()
        guard available - bytes >= limits.reserveBytes else {
            throw .full(directory.path, availableBytes: available, reserveBytes: limits.reserveBytes)
        }
        guard let limit = limits.spoolBytes else { return }
        if heldBytes + bytes > limit, isCountOld { try count() }
        guard heldBytes + bytes <= limit else {
            throw .overLimit(directory.path, bytes: heldBytes, limitBytes: limit)
        }
    }

    /// Counts the segments again, unless the last count is of this second. So `oldest` is true without new segments, too.
    public func recount() {
        if isCountOld { try? count() }
    }

    private var isCountOld: Bool { counted.map { $0() >= Self.countAge } ?? true }

    private func count() throws(SpoolError) {
        let inventory = try directory.inventory()
        oldest = inventory.oldest ?? next
        heldBytes = inventory.bytes
        counted = Self.stopwatch(clock)
    }

    private func begin() throws(SpoolError) -> SegmentWriter {
        try count()
        // The number is used even if creation fails: positions are never reused (invariant 4).
        newest += 1
        let writer = try SegmentWriter(
            number: newest, predecessor: predecessor, rules: rules, in: directory)
        opened = Self.stopwatch(clock)
        segment = writer
        return writer
    }

    private static func stopwatch<C: Clock>(_ clock: C) -> @Sendable () -> Duration where C.Duration == Duration {
        let start = clock.now
        return { start.duration(to: clock.now) }
    }
}
