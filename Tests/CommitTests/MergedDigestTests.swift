import Foundation
import Logging
import Readings
import Spool
import SystemPackage
import Testing

@testable import Commit
@testable import Ledger

/// A start from merged digests restores the same ledger as a start from segments, and uses a merged digest only if it
/// belongs to exactly these segments (invariant 3).
struct MergedDigestTests {
    private let path = FilePath(NSTemporaryDirectory() + "merged-" + UUID().uuidString)
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let receivedAt: Int64 = 1_795_392_000_000

    /// Fills these segments with one record each. Devices report on some channels in the same minutes, on others not;
    /// some stop early, and some have only messages without a reading.
    private func fill(_ directory: SpoolDirectory, segments: ClosedRange<Int>) throws {
        var limits = SpoolWriter.Limits()
        limits.segmentBytes = 1
        let recovery = try SpoolRecovery(of: directory, logger: logger)
        let writer = SpoolWriter(
            directory: directory, newest: recovery.newest, newestRecords: recovery.records[recovery.newest] ?? 0,
            limits: limits)
        var committer = Committer(
            ledger: recovery.ledger, writer: writer, ledgerBytes: .max, spoolState: SpoolState(records: [:]),
            logger: logger)
        for number in segments {
            let messages = (0..<9).filter { number % ($0 + 1) == 0 || $0 < 3 }.map { device in
                let time = 60 * (number * 47 + device)
                let switches = (0...device % 4).map { "\"switch:\($0)\":{\"apower\":\(number)}" }
                return device == 8
                    ? #"{"src":"meter","timestamp":\#(time),"params":{"pm1:0":{"apower":1}}}"#
                    : #"{"src":"plug-\#(device)","timestamp":\#(time),"params":{\#(switches.joined(separator: ","))}}"#
            }
            let body = Array("{\"messages\":[\(messages.joined(separator: ","))]}".utf8)
            let batch = try BatchDecoder().decode(body, receivedAt: Self.receivedAt)
            _ = try #require(
                committer.commit([(batch, NewRecord(receivedAt: Self.receivedAt, body: body[...]))]).first
            ).get()
            committer.rotateIfDue()
        }
        committer.stop()
    }

    private func names(_ directory: SpoolDirectory) throws -> [String] {
        try directory.disk.names(in: directory.ledger).sorted()
    }

    private func isMerged(_ name: String) -> Bool { name.contains("-") }

    private func remove(_ names: [String], in directory: SpoolDirectory) throws {
        for name in names { try directory.disk.remove(directory.ledger.appending(name)) }
    }

    /// The answers of a ledger to all its queries, as text.
    private func knowledge(_ recovery: SpoolRecovery) throws -> [String] {
        var ledger = recovery.ledger
        let devices = ledger.lastSeen(from: 0, for: .seconds(60)).found.map {
            "\($0.device) \($0.last) \($0.lastMinute ?? 0)"
        }
        let days = try ledger.minutes(of: (0..<9).map { try DeviceID("plug-\($0)") }, on: 0...100).map { "\($0)" }
        var knowledge = devices.sorted() + days
        knowledge.append("\(recovery.records.sorted { $0.key < $1.key }) \(recovery.newest) \(recovery.unreadable)")
        knowledge.append("\(ledger.counts.counts(of: 0..<20_000)) \(ledger.deviceCount)")
        // The remaining days and devices after the removal of older segments.
        for oldest in stride(from: 0, through: recovery.newest + 1, by: 9) {
            ledger.evict(before: oldest)
            knowledge.append("\(oldest): \(ledger.approximateBytes) \(ledger.deviceCount)")
        }
        return knowledge
    }

    @Test(arguments: [15, 16, 47, 300]) func aStartFromMergedDigestsEqualsAStartFromSegments(count: Int) throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory, segments: 1...count)
        let merged = try names(directory).filter(isMerged)
        #expect(merged.count == count / 16 + count / 256)
        let fromMerged = try SpoolRecovery(of: directory, logger: logger)
        // Without the digests of single segments, a start can use only the merged ones.
        try remove(names(directory).filter { !isMerged($0) }, in: directory)
        #expect(try knowledge(SpoolRecovery(of: directory, logger: logger)) == knowledge(fromMerged))
        #expect(try names(directory).filter { !isMerged($0) }.count == count % 16)
        try remove(merged.filter { $0.hasPrefix("00000001-00000256") }, in: directory)
        #expect(try knowledge(SpoolRecovery(of: directory, logger: logger)) == knowledge(fromMerged))
        try remove(names(directory), in: directory)
        let fromSegments = try SpoolRecovery(of: directory, logger: logger)
        #expect(try knowledge(fromSegments) == knowledge(fromMerged))
        #expect(fromSegments.ledger.deviceCount == 9 && fromSegments.unreadable.isEmpty)
    }

    /// A compressed segment has the same text as the plain one, so its digests stay valid.
    @Test func compressedSegmentsKeepTheirMergedDigests() throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory, segments: 1...20)
        let before = try knowledge(SpoolRecovery(of: directory, logger: logger))
        for segment in try directory.segments().dropLast() { try directory.moveToLoaded(segment.number) }
        for segment in try directory.segments().dropLast() { #expect(try directory.compress(segment) != nil) }
        // Without digests of single segments, only the merged one has the keys of segments 1 to 16.
        try remove(names(directory).filter { !isMerged($0) }, in: directory)
        #expect(try knowledge(SpoolRecovery(of: directory, logger: logger)) == before)
        #expect(try names(directory).filter { !isMerged($0) }.count == 4)
        try remove(names(directory), in: directory)
        #expect(try knowledge(SpoolRecovery(of: directory, logger: logger)) == before)
    }

    /// A fault of one of the segments, or of the merged digest's file.
    enum Fault: CaseIterable {
        case shorter, otherContent, missing, added, unreadable, torn, flipped, otherRange
    }

    @Test(arguments: Fault.allCases) func aMergedDigestOfOtherSegmentsIsNotUsed(fault: Fault) throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory, segments: 1...40)
        let merged = try names(directory).filter(isMerged)
        #expect(merged == ["00000001-00000016.keys", "00000017-00000032.keys"])
        let file = directory.ledger.appending(merged[0])
        let segment = try directory.segments()[4].path
        let bytes = try directory.contents(of: segment)
        func replace(_ path: FilePath, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: URL(filePath: path.string))
        }
        switch fault {
        case .shorter: try replace(segment, Array(bytes[..<(bytes.count / 2)]))
        case .otherContent:
            let other = String(decoding: bytes, as: UTF8.self).replacing("\"created\":\"2", with: "\"created\":\"3")
                .replacing("plug-1", with: "plug-9")
            try replace(segment, Array(other.utf8))
        case .missing: try directory.disk.remove(segment)
        case .added:
            // The merged digest was made without segment 5.
            let digests = try #require(MergedDigest(decoding: directory.contents(of: file))).digests
            try replace(file, MergedDigest(merging: digests.filter { $0.segment != 5 }).encoded)
        case .unreadable:
            try directory.disk.remove(segment)
            try FileManager.default.createDirectory(atPath: segment.string, withIntermediateDirectories: false)
        case .torn: try replace(file, Array(try directory.contents(of: file).dropLast(1)))
        case .flipped:
            var content = try directory.contents(of: file)
            content[content.count / 2] ^= 0x10
            try replace(file, content)
        case .otherRange: try replace(file, try directory.contents(of: directory.ledger.appending(merged[1])))
        }
        let found = try knowledge(SpoolRecovery(of: directory, logger: logger))
        // The merged digest was removed, and can be made again.
        #expect(try !names(directory).contains(merged[0]))
        directory.mergeDigests()
        #expect(try names(directory).contains(merged[0]))
        #expect(try knowledge(SpoolRecovery(of: directory, logger: logger)) == found)
        try remove(names(directory), in: directory)
        let fromSegments = try SpoolRecovery(of: directory, logger: logger)
        #expect(try found == knowledge(fromSegments))
        #expect(fromSegments.unreadable == (fault == .unreadable ? [5] : []))
    }

    @Test func aTornOrFlippedMergedDigestIsNeverDecodedWhole() throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory, segments: 1...16)
        let bytes = try directory.contents(of: directory.ledger.appending("00000001-00000016.keys"))
        let digests = try #require(MergedDigest(decoding: bytes)).digests
        #expect(digests.map(\.segment) == Array(1...16))
        for count in stride(from: 0, to: bytes.count, by: 3) {
            // Cut between two digests, it is a merged digest of fewer segments.
            #expect(MergedDigest(decoding: Array(bytes[..<count])).map { $0.digests.count < 16 } ?? true)
        }
        for place in bytes.indices {
            var flipped = bytes
            flipped[place] ^= 0x04
            #expect(MergedDigest(decoding: flipped) == nil, "byte \(place)")
        }
    }

    @Test func aMergedDigestIsRemovedWithItsFirstSegment() throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        try fill(directory, segments: 1...50)
        for segment in try directory.segments() where segment.number < 20 { try directory.disk.remove(segment.path) }
        let found = try knowledge(SpoolRecovery(of: directory, logger: logger))
        directory.removeDigests(before: 20)
        #expect(try names(directory).filter(isMerged) == ["00000033-00000048.keys"])
        directory.mergeDigests()
        #expect(try names(directory).filter(isMerged) == ["00000033-00000048.keys"])
        try remove(names(directory), in: directory)
        #expect(try knowledge(SpoolRecovery(of: directory, logger: logger)) == found)
        // The start has made the digests of single segments again, so the range is merged again.
        directory.mergeDigests()
        #expect(try names(directory).filter(isMerged) == ["00000033-00000048.keys"])
    }
}
