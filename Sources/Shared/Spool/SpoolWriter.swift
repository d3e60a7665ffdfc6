/// Appends groups of records to a spool: begins, rotates and abandons segments. One owner, who may block.
public final class SpoolWriter {
    /// When a segment is left for the next one, and what stays free on the disk.
    public struct Limits: Sendable {
        /// A segment of this length in bytes is sealed.
        public var segmentBytes = 64 << 20
        /// A segment of this age is sealed, so that a quiet spool's readings reach `loaded/` too.
        public var segmentAge = Duration.seconds(3600)
        /// The file system's free bytes below which nothing is taken any more.
        public var reserveBytes = 64 << 20
        /// Bytes of all segments together above which nothing is taken any more; nil for no limit but the disk's.
        public var spoolBytes: Int?

        public init() {}

        /// Bytes that may still be taken.
        public func room(availableBytes: Int, heldBytes: Int) -> Int {
            max(0, min(availableBytes - reserveBytes, (spoolBytes ?? .max) - heldBytes))
        }

        /// Whether the spool can go on taking for a while: there is room for one more segment, or for an eighth of what
        /// it may hold if that is less. Who sends is told before the spool is full.
        public func leaveMargin(availableBytes: Int, heldBytes: Int) -> Bool {
            let margin = min(segmentBytes, (spoolBytes ?? .max) / 8)
            guard availableBytes - margin >= reserveBytes else { return false }
            return spoolBytes.map { heldBytes + margin <= $0 } ?? true
        }
    }

    /// The number of the newest segment, 0 when there was none yet.
    public private(set) var newest: Int
    /// The open segment, nil between two.
    public private(set) var segment: SegmentWriter?
    /// The lowest number that the spool held when the open segment was begun; what was before it is gone.
    public private(set) var oldest = 0
    /// The number that the next records go to, unless they cannot be written.
    public var next: Int { segment?.number ?? newest + 1 }

    public let directory: SpoolDirectory
    private let limits: Limits
    private let clock: any Clock<Duration>
    /// Told of each group that became durable: how many records, and how long fdatasync(2) took.
    public typealias Observer = @Sendable (_ records: Int, _ synchronizing: Duration) -> Void
    private let observer: Observer
    /// The last segment that is known to be durable, which the next one names as its predecessor.
    private var predecessor: SegmentHeader.Predecessor?
    private var opened: @Sendable () -> Duration = { .zero }
    /// Bytes of all segments as last counted, and what was appended since.
    private var heldBytes = 0
    private var counted: (@Sendable () -> Duration)?
    /// A full spool is counted again after this time, as the loader may have made room.
    private static let countAge = Duration.seconds(1)

    /// Continues the spool behind segment `newest`; nothing is ever appended to an inherited segment (invariant 4).
    ///
    /// - Parameters:
    ///   - newest: the highest number that the spool has, 0 for a new one.
    ///   - newestRecords: records of that segment that are durable.
    public init(
        directory: SpoolDirectory, newest: Int, newestRecords: Int = 0, limits: Limits = Limits(),
        clock: any Clock<Duration> = ContinuousClock(), observer: @escaping Observer = { _, _ in }
    ) {
        self.directory = directory
        self.newest = newest
        predecessor = newest == 0 ? nil : SegmentHeader.Predecessor(segment: newest, records: newestRecords)
        self.limits = limits
        self.clock = clock
        self.observer = observer
    }

    /// Makes the records durable, all of them together.
    ///
    /// - Returns: their positions.
    /// - Throws: nothing of the group counts, and its segment is abandoned; the next call begins a new one
    ///   (invariant 5).
    public func append(_ group: [NewRecord]) throws(SpoolError) -> [SpoolPosition] {
        if isDue { seal() }
        let positions = try write(group)
        do throws(SpoolError) {
            if let synchronization { confirm(synchronization, took: try synchronization.run()) }
        } catch {
            abandon()
            throw error
        }
        return positions
    }

    /// Writes the records, to the open segment even if it is due. They are durable, all of them together, when a
    /// `synchronization` that was made afterwards is over.
    ///
    /// - Returns: their positions.
    /// - Throws: nothing of the group counts. When no segment is open afterwards it was abandoned, and with it all that
    ///   was written and not yet confirmed, even if a synchronization of that succeeds.
    public func write(_ group: [NewRecord]) throws(SpoolError) -> [SpoolPosition] {
        try makeSure(of: group.reduce(0) { $0 + $1.bytes })
        let open = if let segment { segment } else { try begin() }
        do throws(SpoolError) {
            let before = open.writtenBytes
            let first = try open.write(group)
            heldBytes += open.writtenBytes - before
            return group.indices.map { SpoolPosition(segment: open.number, sequence: first + $0) }
        } catch {
            abandon()
            throw error
        }
    }

    /// What makes durable all that is written by now; another thread may run it while more is written. nil between two
    /// segments.
    public var synchronization: SegmentSynchronization? { segment?.synchronization }

    /// Counts as durable what a synchronization of the open segment has made so, in `took`.
    public func confirm(_ synchronization: SegmentSynchronization, took: Duration) {
        guard let segment, segment.number == synchronization.segment else {
            preconditionFailure("what was written to a segment that was left does not count")
        }
        observer(synchronization.records - segment.records, took)
        segment.confirm(synchronization)
    }

    /// Leaves the open segment as it is, after a failure: what is not confirmed does not count.
    public func abandon() {
        guard let abandoned = segment else { return }
        leave()
        // A segment without a durable record holds nothing that anyone was promised; a full disk must not fill up with
        // them.
        if abandoned.records == 0 { try? directory.disk.remove(abandoned.path) }
    }

    /// How long the open segment may still live; nil when none is open.
    public var untilRotation: Duration? {
        segment == nil ? nil : max(.zero, limits.segmentAge - opened())
    }

    /// Whether the open segment has the length or the age to be left.
    public var isDue: Bool {
        guard let segment, let left = untilRotation else { return false }
        return segment.writtenBytes >= limits.segmentBytes || left <= .zero
    }

    /// A segment that was left in good order.
    public struct Sealed: Sendable {
        public let number: Int
        /// When it was created, as its header says.
        public let created: String
        public let records: Int
        /// Length of its file.
        public let bytes: Int
    }

    /// Leaves the open segment in good order, if it can be; a reader copes with a missing footer.
    ///
    /// - Returns: nil when there was none, or its footer could not be written.
    @discardableResult
    public func seal() -> Sealed? {
        defer { leave() }
        guard let segment, let bytes = try? segment.seal() else { return nil }
        return Sealed(number: segment.number, created: segment.created, records: segment.records, bytes: bytes)
    }

    private func leave() {
        if let segment, segment.records > 0 {
            predecessor = SegmentHeader.Predecessor(segment: segment.number, records: segment.records)
        }
        segment = nil
    }

    /// Bytes that may still be taken, as far as that is known without counting the spool again.
    public func room() throws(SpoolError) -> Int {
        limits.room(availableBytes: try directory.availableBytes(), heldBytes: heldBytes)
    }

    /// Whether there is room for so many bytes, and the reserve behind them.
    private func makeSure(of bytes: Int) throws(SpoolError) {
        let available = try directory.availableBytes()
        guard available - bytes >= limits.reserveBytes else {
            throw .full(directory.path, availableBytes: available, reserveBytes: limits.reserveBytes)
        }
        guard let limit = limits.spoolBytes else { return }
        if heldBytes + bytes > limit, counted.map({ $0() >= Self.countAge }) ?? true { try count() }
        guard heldBytes + bytes <= limit else {
            throw .overLimit(directory.path, bytes: heldBytes, limitBytes: limit)
        }
    }

    private func count() throws(SpoolError) {
        let inventory = try directory.inventory()
        oldest = inventory.oldest ?? next
        heldBytes = inventory.bytes
        counted = Self.stopwatch(clock)
    }

    private func begin() throws(SpoolError) -> SegmentWriter {
        try count()
        // The number is used up even when creation fails: positions are never refilled (invariant 4).
        newest += 1
        let writer = try SegmentWriter(number: newest, predecessor: predecessor, in: directory)
        opened = Self.stopwatch(clock)
        segment = writer
        return writer
    }

    private static func stopwatch<C: Clock>(_ clock: C) -> @Sendable () -> Duration where C.Duration == Duration {
        let start = clock.now
        return { start.duration(to: clock.now) }
    }
}
