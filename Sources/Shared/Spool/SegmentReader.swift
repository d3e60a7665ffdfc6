internal import Glibc
public import SystemPackage

/// Reads a segment from the start of any record to its end, in bounded memory, and never returns a damaged record.
///
/// It is unsafe because it parses records in place in one reused buffer. A record's body is valid until the next call
/// to `next()`.
public final class SegmentReader {
    public enum Event {
        /// The first line, returned only if reading begins at byte 0.
        case header(SegmentHeader)
        case record(Record)
        /// Bytes that are not a record, with valid lines before or after them.
        case damage(Damage)
        /// The segment was closed cleanly. The writer wrote nothing after the footer.
        case footer(SegmentFooter)
        /// The bytes up to the end are not a whole line. They are either the rest of an interrupted write, never
        /// acknowledged, or the beginning of a write in progress.
        case tornTail(Range<Int>)
    }

    public struct Record {
        /// Number in the segment, from 1.
        public let sequence: Int
        /// Time of receipt, Unix milliseconds.
        public let receivedAt: Int64
        /// Byte range of the record's line in the segment. It ends at the next line, even if another byte replaces the
        /// line break.
        public let range: Range<Int>
        /// The body. `SegmentReader.padding` more bytes after it are readable.
        public let body: UnsafeRawBufferPointer
    }

    public struct Damage: Equatable, Sendable {
        /// The damaged bytes in the segment.
        public let range: Range<Int>
        public let reason: String
    }

    /// Readable bytes after a record's body, for parsers that read ahead.
    public static let padding = 64
    /// The longest body that a record can have. A record that claims a longer one is damage.
    static let maximumBodyBytes = 17 << 20

    private let file: any DiskFile
    private let path: FilePath
    /// The segment's length when reading began. A later reader reads bytes that are appended afterwards.
    public let end: Int
    /// Offset of the next line.
    public private(set) var offset: Int

    private var buffer: UnsafeMutableRawBufferPointer
    /// The segment's byte range that `buffer` holds, starting at the buffer's first byte.
    private var window: Range<Int>
    private var damageStart: Int?
    private var damageReason = ""
    private var queue: [Event] = []
    private var isSealed = false
    private var isFinished = false

    private static let initialBytes = 1 << 20

    /// Creates a reader of `file` from byte `offset`, where a line must begin, to its present end.
    public init(_ file: any DiskFile, path: FilePath, from offset: Int = 0) throws(SpoolError) {
        self.file = file
        self.path = path
        end = try Spool.disk("examine", path) { () throws(Errno) in try file.size() }
        self.offset = offset
        window = offset..<offset
        // A small segment needs no more than its length. The buffer must hold at least the beginning of a line.
        let capacity = min(Self.initialBytes, max(end - offset, RecordPrefix.maximumBytes)) + Self.padding
        buffer = .allocate(byteCount: capacity, alignment: 64)
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { buffer.deallocate() }

    /// The next event, or nil at the end.
    public func next() throws(SpoolError) -> Event? {
        if !queue.isEmpty { return queue.removeFirst() }
        while !isFinished, offset < end {
            if let (event, length) = try line() {
                let start = offset
                offset += length
                if case .footer = event { isSealed = true }
                return yield(event, before: start)
            }
            // There is no interrupted write after a footer.
            guard let length = try lineBreak() ?? (isSealed ? end - offset : nil) else {
                isFinished = true
                return yield(.tornTail(offset..<end), before: offset)
            }
            let earlier = damageStart == nil ? nil : takeFlaw()
            if damageStart == nil { damageStart = offset }
            offset += length
            if let earlier { return earlier }
        }
        isFinished = true
        return takeDamage(upTo: offset)
    }

    /// The next record, or nil if none follows. Skips everything else.
    public func nextRecord() throws(SpoolError) -> Record? {
        while let event = try next() {
            if case .record(let record) = event { return record }
        }
        return nil
    }

    /// Returns the damage before an event first and queues the event.
    private func yield(_ event: Event, before start: Int) -> Event {
        guard let damage = takeDamage(upTo: start) else { return event }
        queue.insert(event, at: 0)
        return damage
    }

    private func takeDamage(upTo end: Int) -> Event? {
        guard let start = damageStart else { return nil }
        damageStart = nil
        return .damage(Damage(range: start..<end, reason: damageReason))
    }

    private func fail(_ reason: String) {
        if damageStart == nil { damageReason = file.damage(at: offset) ?? reason }
    }

    /// The damage up to here, if the file has another reason for the damage from here on.
    private func takeFlaw() -> Event? {
        guard let flaw = file.damage(at: offset), flaw != damageReason else { return nil }
        defer { damageReason = flaw }
        return takeDamage(upTo: offset)
    }

    /// The line at `offset` and its length, or nil if there is no valid line.
    private func line() throws(SpoolError) -> (Event, Int)? {
        let start = try bytes(atLeast: min(end - offset, RecordPrefix.maximumBytes))
        if start.first == UInt8(ascii: "{") { return try headerOrFooter() }
        guard let prefix = RecordPrefix(start), prefix.bodyBytes <= Self.maximumBodyBytes else {
            fail("no record begins here")
            return nil
        }
        let length = prefix.byteCount + prefix.bodyBytes + 1
        guard length <= end - offset else {
            fail("the record's length exceeds the segment")
            return nil
        }
        let line = UnsafeRawBufferPointer(rebasing: try bytes(atLeast: length)[..<length])
        guard SegmentFormat.checksum(line[RecordPrefix.checksummedFrom..<(length - 1)]) == prefix.checksum else {
            fail("checksum mismatch")
            return nil
        }
        if line[length - 1] != UInt8(ascii: "\n") {
            // The record itself is whole; only the byte that should end its line is wrong.
            let last = offset + length - 1
            queue.append(.damage(Damage(range: last..<(last + 1), reason: "no line break behind the record")))
        }
        return (.record(record(prefix, line, offset..<(offset + length))), length)
    }

    private func record(_ prefix: RecordPrefix, _ line: UnsafeRawBufferPointer, _ range: Range<Int>) -> Record {
        let body = UnsafeRawBufferPointer(rebasing: line[prefix.byteCount..<(prefix.byteCount + prefix.bodyBytes)])
        return Record(sequence: prefix.sequence, receivedAt: prefix.receivedAt, range: range, body: body)
    }

    private func headerOrFooter() throws(SpoolError) -> (Event, Int)? {
        let longest = SegmentFormat.longestLineBytes
        let text = try bytes(atLeast: min(end - offset, longest))
        guard let length = text.prefix(longest).firstIndex(of: UInt8(ascii: "\n")).map({ $0 + 1 }) else {
            fail("no line break behind a header or footer")
            return nil
        }
        let line = UnsafeRawBufferPointer(rebasing: text[..<length])
        if offset == 0, let header = SegmentFormat.parse(SegmentHeader.self, line) { return (.header(header), length) }
        if let footer = SegmentFormat.parse(SegmentFooter.self, line), footer.bytes == offset {
            return (.footer(footer), length)
        }
        fail(offset == 0 ? "not a segment's header" : "not this segment's footer")
        return nil
    }

    /// The length up to and including the next line break, or nil if none follows.
    private func lineBreak() throws(SpoolError) -> Int? {
        var searched = 0
        while searched < end - offset {
            let piece = try bytes(atLeast: min(end - offset, searched + Self.initialBytes / 2))
            if let start = piece.baseAddress,
                let found = memchr(start + searched, CInt(UInt8(ascii: "\n")), piece.count - searched)
            {
                return UnsafeRawPointer(found) - start + 1
            }
            searched = piece.count
            // If a stretch without a line break is longer than any record, skip its beginning.
            if searched > Self.maximumBodyBytes {
                if damageStart == nil { damageStart = offset }
                offset += searched
                searched = 0
            }
        }
        return nil
    }

    /// The bytes in the buffer from `offset` on, at least `count` of them.
    private func bytes(atLeast count: Int) throws(SpoolError) -> UnsafeRawBufferPointer {
        if window.upperBound - offset < count || window.lowerBound > offset { try fill(count) }
        return UnsafeRawBufferPointer(rebasing: buffer[(offset - window.lowerBound)..<window.count])
    }

    private func fill(_ count: Int) throws(SpoolError) {
        let kept = offset..<max(offset, window.upperBound)
        let source = UnsafeRawBufferPointer(rebasing: buffer[(offset - window.lowerBound)..<window.count])
        if count + Self.padding > buffer.count {
            let largest = Self.maximumBodyBytes + Self.initialBytes
            let capacity = max(count, min(2 * buffer.count, largest)) + Self.padding
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 64)
            larger.initializeMemory(as: UInt8.self, repeating: 0)
            larger.copyMemory(from: source)
            buffer.deallocate()
            buffer = larger
        } else if !source.isEmpty {
            buffer.copyMemory(from: source)
        }
        window = kept
        let room = buffer.count - Self.padding
        while window.count < count {
            let free = UnsafeMutableRawBufferPointer(
                rebasing: buffer[window.count..<min(room, window.count + end - window.upperBound)])
            let position = window.upperBound
            let read = try disk("read", path) { () throws(Errno) in try file.read(into: free, at: position) }
            guard read > 0 else { throw .unfit(path, "became shorter while it was read") }
            window = window.lowerBound..<(window.upperBound + read)
        }
    }
}
