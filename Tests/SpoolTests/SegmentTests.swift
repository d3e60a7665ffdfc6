import CCrc32c
import Foundation
import SystemPackage
import Testing

@testable import Spool

/// A directory for one test, removed with it.
final class Scratch {
    let path: FilePath

    init() {
        var template = Array("/tmp/spool-test-XXXXXX".utf8CString)
        path = FilePath(String(cString: mkdtemp(&template)))
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }

    func contents(_ file: FilePath) throws -> [UInt8] {
        let descriptor = try FileDescriptor.open(file, .readOnly)
        defer { try? descriptor.close() }
        var bytes = [UInt8](repeating: 0, count: Int(try descriptor.seek(offset: 0, from: .end)))
        _ = try bytes.withUnsafeMutableBytes { try descriptor.read(fromAbsoluteOffset: 0, into: $0) }
        return bytes
    }

    func write(_ bytes: [UInt8], to file: FilePath) throws {
        let descriptor = try FileDescriptor.open(
            file, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        defer { try? descriptor.close() }
        _ = try bytes.withUnsafeBytes { try descriptor.writeAll($0) }
    }
}

struct SegmentTests {
    let scratch = Scratch()

    private static let bodies = ["{\"a\":1}", "{}", String(repeating: "x", count: 3000), "{\"é\":\"ü\"}"]

    private func records(_ bodies: [String] = bodies) -> [NewRecord] {
        bodies.enumerated().map { NewRecord(receivedAt: Int64(1000 + $0), body: Array($1.utf8)[...]) }
    }

    private func directory() throws -> SpoolDirectory { try SpoolDirectory(creating: scratch.path.appending("spool")) }

    /// The events of a reader of these bytes: a record's body, and a word for every other event.
    private func read(_ bytes: [UInt8]) throws -> [String] {
        let file = scratch.path.appending("segment")
        try scratch.write(bytes, to: file)
        let reader = try SegmentReader(try SystemDisk().open(file), path: file)
        var found: [String] = []
        while let event = try reader.next() {
            switch event {
            case .header: found.append("header")
            case .record(let record): found.append(String(decoding: record.body, as: UTF8.self))
            case .damage(let damage): found.append("damage \(damage.range)")
            case .footer: found.append("footer")
            case .tornTail(let range): found.append("torn \(range)")
            }
        }
        return found
    }

    private func sealedSegment() throws -> [UInt8] {
        let directory = try directory()
        let writer = SpoolWriter(directory: directory, newest: 0)
        #expect(try writer.append(records()).map(\.sequence) == [1, 2, 3, 4])
        writer.seal()
        return try scratch.contents(directory.pending.appending("00000001.spool"))
    }

    @Test func checksumIsCRC32C() {
        // The check value of the CRC catalogue for CRC-32/ISCSI.
        let bytes = Array("123456789".utf8)
        #expect(shelly_crc32c(0, bytes, 9) == 0xE306_9283)
        // From 12 KiB on the bytes are processed in three streams at a time.
        for length in Array(0..<100) + [12_287, 12_288, 12_289, 24_575, 24_576, 24_583, 100_003] {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 * $0 / 7 + $0) }
            for seed in [0, 0xDEAD_BEEF] as [UInt32] {
                let crc = shelly_crc32c(seed, bytes, length)
                #expect(crc == shelly_crc32c_portable(seed, bytes, length), "\(length) bytes")
            }
        }
    }

    @Test func bodiesOfEveryLengthAreReadBackInTheirOrder() throws {
        let directory = try directory()
        let writer = SpoolWriter(directory: directory, newest: 0)
        // Records below 32 KiB go through a buffer, longer ones do not. Writeback starts in pieces of half a megabyte.
        let lengths = [2, 32_767, 32_768, 2, 2, 100_000, 700_000, 20_000, 32_768, 32_768]
        var written: [String] = []
        for round in 0..<3 {
            let bodies = lengths.map { length in String(repeating: "\(round)", count: length) }
            let positions = try writer.append(records(bodies))
            #expect(positions.map(\.sequence) == lengths.indices.map { round * lengths.count + $0 + 1 })
            written += bodies
        }
        writer.seal()
        let segment = try scratch.contents(directory.pending.appending("00000001.spool"))
        #expect(try read(segment) == ["header"] + written + ["footer"])
    }

    @Test func writtenRecordsAreReadBack() throws {
        #expect(try read(sealedSegment()) == ["header"] + Self.bodies + ["footer"])
    }

    @Test func aCutAtAnyByteKeepsTheWholeRecordsBeforeIt() throws {
        let segment = try sealedSegment()
        var ends: [Int] = []
        for (index, byte) in segment.enumerated() where byte == 0x0A { ends.append(index + 1) }
        for cut in 0..<segment.count {
            let found = try read(Array(segment[..<cut])).filter { !$0.hasPrefix("torn") && $0 != "header" }
            let whole = max(0, ends.filter { $0 <= cut }.count - 1)
            #expect(found == Array(Self.bodies.prefix(whole)), "cut at \(cut)")
        }
    }

    @Test func flippedByteLosesOneRecordAndIsNamed() throws {
        let segment = try sealedSegment()
        let lines = segment.split(separator: 0x0A, omittingEmptySubsequences: true)
        for index in lines[1].startIndex..<lines[4].endIndex {
            for mask in [UInt8(1), 0x80] {
                var flipped = segment
                flipped[index] ^= mask
                let found = try read(flipped)
                let whole = found.filter { Self.bodies.contains($0) }
                #expect(whole.count >= Self.bodies.count - 1, "flip at \(index)")
                #expect(found.filter { $0.hasPrefix("damage") }.count == 1, "flip at \(index)")
                #expect(found.first == "header" && found.last == "footer", "flip at \(index)")
            }
        }
    }

    @Test func bytesBehindAFooterAreReported() throws {
        // Invariants 7 and 8: the writer wrote no bytes there, so another program did.
        let segment = try sealedSegment()
        let record = segment.split(separator: 0x0A, omittingEmptySubsequences: true)[1] + [0x0A]
        let foreign = Array("foreign\n".utf8)
        let found = try read(segment + foreign + record + foreign.dropLast())
        let range = segment.count..<(segment.count + 8)
        let tail = (range.upperBound + record.count)..<(range.upperBound + record.count + 7)
        #expect(
            found == ["header"] + Self.bodies + ["footer", "damage \(range)", Self.bodies[0], "damage \(tail)"])
    }

    @Test func aReaderStartedAfterARecordWithoutLineBreakFindsTheNext() throws {
        // Invariant 2: a loader may have committed its progress at that offset.
        var segment = try sealedSegment()
        let lineBreaks = segment.indices.filter { segment[$0] == 0x0A }
        segment[lineBreaks[1]] = 0x20
        let file = scratch.path.appending("segment")
        try scratch.write(segment, to: file)
        let reader = try SegmentReader(try SystemDisk().open(file), path: file)
        _ = try reader.next()
        guard case .record(let first)? = try reader.next() else { throw Errno.invalidArgument }
        let next = try SegmentReader(try SystemDisk().open(file), path: file, from: first.range.upperBound)
        guard case .record(let second)? = try next.next() else { throw Errno.invalidArgument }
        #expect((first.sequence, second.sequence) == (1, 2))
    }

    @Test func restartNeverAppendsToAnOldSegment() throws {
        // Invariant 4.
        let directory = try directory()
        _ = try SpoolWriter(directory: directory, newest: 0).append(records())
        let first = directory.pending.appending("00000001.spool")
        let before = try scratch.contents(first)
        #expect(try SpoolWriter(directory: directory, newest: 1).append(records()).first?.segment == 2)
        #expect(try scratch.contents(first) == before)
        #expect(try directory.segments().map(\.number) == [1, 2])
    }

    /// Invariant 1: bytes that are synchronized into a file without a name are not durable.
    @Test func aRemovedSegmentGetsNoFurtherRecords() throws {
        let directory = try SpoolDirectory(creating: scratch.path.appending("spool"))
        let writer = SpoolWriter(directory: directory, newest: 0)
        let record = NewRecord(receivedAt: 0, body: [0x7B, 0x7D])
        _ = try writer.append([record])
        try directory.disk.remove(try #require(writer.segment?.path))
        #expect(throws: SpoolError.self) { try writer.append([record]) }
        #expect(try writer.append([record]) == [SpoolPosition(segment: 2, sequence: 1)])
        #expect(try directory.segments().map(\.number) == [2])
    }

    @Test func segmentIsRotatedByLength() throws {
        let directory = try directory()
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = 4096
        let writer = SpoolWriter(directory: directory, newest: 0, limits: limits)
        let positions = try (0..<4).flatMap { _ in try writer.append(records()) }
        #expect(positions.last == SpoolPosition(segment: 2, sequence: 8))
        #expect(positions.last?.description == "00000002:8")
        #expect(try read(scratch.contents(directory.pending.appending("00000001.spool"))).last == "footer")
    }

    @Test func aFullDiskIsRefusedBeforeAnyWrite() throws {
        let directory = try directory()
        var limits = SpoolWriter.Limits()
        limits.reserveBytes = .max
        let error = #expect(throws: SpoolError.self) {
            try SpoolWriter(directory: directory, newest: 0, limits: limits).append(records())
        }
        #expect(error?.description.contains("is full") == true)
        #expect(try directory.segments().isEmpty)
    }

    @Test func secondReceiverIsRefusedWithTheSpoolsName() throws {
        // Invariant 10.
        let directory = try directory()
        let lock = try SpoolLock(.receiver, of: directory.path)
        let error = #expect(throws: SpoolError.self) { try SpoolLock(.receiver, of: directory.path) }
        #expect(error?.description.contains(directory.path.string) == true)
        #expect(SpoolLock.holder(of: .receiver, in: directory.path) == "\(getpid())")
        #expect(SpoolLock.holder(of: .loader, in: directory.path) == nil)
        withExtendedLifetime(lock) {}
    }

    @Test func theSpoolsIdentityIsKept() throws {
        let first = try directory().identity
        #expect(try directory().identity == first)
        #expect(throws: SpoolError.self) { try SpoolDirectory(existing: "/tmp") }
    }

    @Test func movingNeverReplacesASegment() throws {
        let directory = try directory()
        _ = try SpoolWriter(directory: directory, newest: 0).append(records())
        try scratch.write([1], to: directory.loaded.appending("00000001.spool"))
        #expect(throws: SpoolError.self) { try directory.moveToLoaded(1) }
        #expect(try scratch.contents(directory.loaded.appending("00000001.spool")) == [1])
    }

    @Test func loadMarkIsReadBack() throws {
        let directory = try directory()
        #expect(directory.loadMark() == nil)
        for records in 1...2 {
            let mark = LoadMark(segment: 3, bytes: 42, records: records)
            try directory.write(mark)
            #expect(directory.loadMark() == mark)
        }
    }

    @Test func lineBreaksBecomeSpaces() {
        var body = Array("{\r\n\"a\": 1}\n".utf8)[...]
        NewRecord.removeLineBreaks(in: &body)
        #expect(String(decoding: body, as: UTF8.self) == "{  \"a\": 1} ")
    }
}
