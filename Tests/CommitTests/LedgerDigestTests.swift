import Foundation
import Logging
import Readings
import Spool
import SystemPackage
import Testing

@testable import Commit
@testable import Ledger

/// A start from digests restores the same ledger as a start from segments, and uses a digest only if it belongs to that
/// very file (invariant 3).
struct LedgerDigestTests {
    private let path = FilePath(NSTemporaryDirectory() + "digest-" + UUID().uuidString)
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let receivedAt: Int64 = 1_795_392_000_000

    private func body(_ src: String, _ minutes: some Sequence<Int>) -> [UInt8] {
        let messages = minutes.map {
            "{\"src\":\"\(src)\",\"timestamp\":\(60 * $0),\"params\":{\"switch:\($0 % 4)\":{\"apower\":1}}}"
        }
        return Array("{\"messages\":[\(messages.joined(separator: ","))]}".utf8)
    }

    private func committer(of directory: SpoolDirectory) throws -> Committer {
        let recovery = try SpoolRecovery(of: directory, logger: logger)
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = 30_000
        return Committer(
            ledger: recovery.ledger,
            writer: SpoolWriter(
                directory: directory, newest: recovery.newest, newestRecords: recovery.records[recovery.newest] ?? 0,
                limits: limits),
            ledgerBytes: .max, spoolState: SpoolState(records: recovery.records), logger: logger)
    }

    private func commit(_ body: [UInt8], to committer: inout Committer) throws -> Acknowledgement {
        let batch = try BatchDecoder().decode(body, receivedAt: Self.receivedAt)
        let outcomes = committer.commit([(batch, NewRecord(receivedAt: Self.receivedAt, body: body[...]))])
        let outcome = try #require(outcomes.first)
        return try #require(try outcome.get())
    }

    private func heard(_ ledger: MinuteLedger) -> [String] {
        ledger.lastSeen(from: 0, for: .seconds(60)).found.map {
            "\($0.device) \($0.last) \($0.lastMinute ?? 0)"
        }
    }

    private func digests(of directory: SpoolDirectory) throws -> [String] {
        try directory.disk.names(in: directory.ledger).sorted()
    }

    /// Fills some segments, with their digests. The last one stays open, as after a kill.
    private func fill(_ directory: SpoolDirectory) throws {
        var committer = try committer(of: directory)
        for round in 0..<40 {
            _ = try commit(body("plug-\(round % 7)", (round * 11)..<(round * 11 + 30)), to: &committer)
            let meter =
                #"{"messages":[{"src":"pm-\#(round % 7)","timestamp":\#(60 + round),"params":{"pm1:0":{"apower":1}}}]}"#
            _ = try commit(Array(meter.utf8), to: &committer)
        }
    }

    @Test func aStartFromDigestsEqualsAStartFromSegments() throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory)
        let segments = try directory.segments().map(\.number)
        #expect(segments.count > 2)
        #expect(try digests(of: directory).count == segments.count - 1)

        for name in try digests(of: directory) { try directory.disk.remove(directory.ledger.appending(name)) }
        let fromSegments = try SpoolRecovery(of: directory, logger: logger)
        // That start has made all of them again, and the one of the open segment.
        #expect(try digests(of: directory).count == segments.count)
        let fromDigests = try SpoolRecovery(of: directory, logger: logger)
        #expect(heard(fromDigests.ledger) == heard(fromSegments.ledger) && heard(fromDigests.ledger).count == 14)
        #expect(fromDigests.records == fromSegments.records && fromDigests.newest == fromSegments.newest)
        #expect(fromDigests.ledger.approximateBytes == fromSegments.ledger.approximateBytes)
        var (a, b) = (fromSegments.ledger, fromDigests.ledger)
        let counts = a.counts.counts(of: 0..<500)
        #expect(b.counts.counts(of: 0..<500) == counts && counts.contains { $0 > 0 })
        for device in 0..<8 {
            let all = try BatchDecoder().decode(body("plug-\(device)", 0..<500), receivedAt: Self.receivedAt)
            var undoLog = MinuteLedger.UndoLog()
            let (fromA, fromB) = (a.insert(all, in: 99, undoLog: &undoLog), b.insert(all, in: 99, undoLog: &undoLog))
            #expect(fromA == fromB && (device == 7) == (fromA.duplicates == 0))
        }
        // Minute 0 is not a minute that a reading can have.
        #expect(a.counts.counts(of: 0..<500) == [0] + Array(repeating: 8, count: 499))
        // Both ledgers drop the keys of removed segments.
        a.evict(before: 100)
        b.evict(before: 100)
        #expect((a.approximateBytes, b.approximateBytes) == (0, 0))
    }

    /// A compressed segment keeps its digest. Its text is read only if it has none.
    @Test func aStartFromCompressedSegmentsEqualsAStartFromPlainOnes() throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory)
        let plain = try SpoolRecovery(of: directory, logger: logger)
        for segment in try directory.segments().dropLast() {
            try directory.moveToLoaded(segment.number)
            let moved = try #require(try directory.segments().first { $0.number == segment.number })
            _ = try #require(try directory.compress(moved))
        }
        #expect(try directory.segments().count { $0.isCompressed } > 1)
        func expectTheSame() throws {
            let compressed = try SpoolRecovery(of: directory, logger: logger)
            #expect(compressed.unreadable.isEmpty)
            #expect(heard(compressed.ledger) == heard(plain.ledger))
            #expect(compressed.records == plain.records && compressed.newest == plain.newest)
            #expect(compressed.ledger.counts.counts(of: 0..<500) == plain.ledger.counts.counts(of: 0..<500))
        }
        try expectTheSame()
        for name in try digests(of: directory) { try directory.disk.remove(directory.ledger.appending(name)) }
        try expectTheSame()
        // The digests exist again, so a frame that cannot be read does not matter.
        let first = try #require(try directory.segments().first)
        var bytes = try directory.contents(of: first.path)
        bytes[bytes.count / 2] ^= 1
        try Data(bytes).write(to: URL(filePath: first.path.string))
        try expectTheSame()
    }

    /// One of the segments is a directory, one has lost its end, and only some have a digest.
    @Test(arguments: [2, 3, 50]) func severalReadersFindTheSameAsOne(readers: Int) throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        for _ in 0..<3 { try fill(directory) }
        let segments = try directory.segments()
        try #require(segments.count > 4)
        try directory.disk.remove(segments[1].path)
        try FileManager.default.createDirectory(atPath: segments[1].path.string, withIntermediateDirectories: false)
        let bytes = try directory.contents(of: segments[2].path)
        try Data(bytes[..<(bytes.count / 2)]).write(to: URL(filePath: segments[2].path.string))
        func removeSomeDigests() throws {
            for name in try digests(of: directory) where name.hasPrefix("00000001") || name.hasPrefix("00000003") {
                try directory.disk.remove(directory.ledger.appending(name))
            }
        }
        try removeSomeDigests()
        let one = try SpoolRecovery(of: directory, logger: logger, readers: 1)
        try removeSomeDigests()
        let many = try SpoolRecovery(of: directory, logger: logger, readers: readers)
        #expect(one.unreadable == [segments[1].number] && many.unreadable == one.unreadable)
        #expect(one.records == many.records && one.newest == many.newest && one.records.count == segments.count - 1)
        #expect(one.ledger.approximateBytes == many.ledger.approximateBytes)
        #expect(one.ledger.counts.counts(of: 0..<500) == many.ledger.counts.counts(of: 0..<500))
        #expect(
            (0..<one.ledger.deviceNumbers).map(one.ledger.name)
                == (0..<many.ledger.deviceNumbers).map(many.ledger.name))
        #expect(try digests(of: directory).count == segments.count)
    }

    @Test func aDigestOfADifferentFileIsNotUsed() throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory)
        let before = try SpoolRecovery(of: directory, logger: logger)
        let first = try #require(try directory.segments().first)
        // The segment lost its end, as in an older copy. Its digest would count readings as duplicates that are no
        // longer there.
        let bytes = try directory.contents(of: first.path)
        try Data(bytes[..<(bytes.count / 2)]).write(to: URL(filePath: first.path.string))
        let after = try SpoolRecovery(of: directory, logger: logger)
        #expect(after.records[first.number, default: 0] < before.records[first.number, default: 0])
    }

    @Test func aTornOrFlippedDigestIsNotDecoded() throws {
        let digest = LedgerDigest(
            spool: SpoolDirectory.noIdentity, segment: 7, created: "2026-11-23T00:00:00.000Z", records: 3, bytes: 4711,
            keys: .init(
                devices: try ["a", "é", "other", "none"].map { try Readings.DeviceID($0) },
                lastMessages: [
                    .init(time: 1, missing: nil), .init(time: 2, missing: .init(.null, .em, number: 999)),
                    .init(time: 3, missing: .init(.untaken, .other)), .init(time: 4, missing: .init(.noPower)),
                ], deltas: [.init(device: 1, dayAndChannels: 82_003, word: 44, minutes: 0x8000_0001)]))
        let bytes = digest.encoded
        #expect(LedgerDigest(decoding: bytes) == digest)
        for count in 0..<bytes.count { #expect(LedgerDigest(decoding: Array(bytes[..<count])) == nil) }
        for place in bytes.indices {
            var flipped = bytes
            flipped[place] ^= 0x10
            #expect(LedgerDigest(decoding: flipped) == nil, "byte \(place)")
        }
        #expect(LedgerDigest(decoding: bytes + [0]) == nil)
    }

    @Test func digestsOmitKeysOfAFailedGroup() throws {
        var ledger = MinuteLedger()
        let batch = try BatchDecoder().decode(body("plug", 0..<10), receivedAt: Self.receivedAt)
        var kept = MinuteLedger.UndoLog()
        _ = ledger.insert(batch, in: 1, undoLog: &kept)
        #expect(ledger.keys(of: 1)?.devices.count == 1)
        var undoLog = MinuteLedger.UndoLog()
        _ = ledger.insert(try BatchDecoder().decode(body("other", 0..<10), receivedAt: 0), in: 1, undoLog: &undoLog)
        ledger.undo(undoLog)
        #expect(ledger.keys(of: 1) == nil)
        _ = ledger.insert(batch, in: 1, undoLog: &undoLog)
        #expect(ledger.keys(of: 1) == nil)
        _ = ledger.insert(batch, in: 2, undoLog: &undoLog)
        #expect(ledger.keys(of: 2)?.deltas.isEmpty == false)
    }
}
