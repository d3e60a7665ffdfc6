import Foundation
import Logging
import Spool
import Synchronization
import SystemPackage
import Testing
import Time

@testable import Loader

/// Loaded segments are compressed, and each command reads them like plain ones (invariants 2, 6, 7 and 8).
@Suite(.enabled(if: Fixture.isAvailable))
struct CompressionTests {
    let fixture: Fixture
    private static let minutes = 100

    /// Two sealed segments that are long enough for compression, and the newest one.
    init() throws {
        fixture = try Fixture()
        for first in [0, Self.minutes] {
            try fixture.append(Fixture.batch(minutes: first..<(first + Self.minutes)))
            fixture.seal()
        }
        try fixture.append(Fixture.batch(minutes: 1000..<1001, device: "other"))
        fixture.seal()
    }

    private func drain() throws -> DrainReport.Summary { try fixture.drain { $0.isCompressing = true } }

    private var compressed: [Bool] { get throws { try fixture.directory.segments().map(\.isCompressed) } }

    private func verify(_ change: (inout Verification) throws -> Void = { _ in }) throws -> VerificationReport.Summary {
        let report = VerificationReport { _ in }
        var verification = Verification(directory: fixture.directory)
        try change(&verification)
        try verification.run(report)
        return report.summary
    }

    @Test func aDrainCompressesLoadedSegmentsExceptTheNewest() throws {
        let plain = try [1, 2].map { try fixture.bytes($0) }
        let summary = try drain()
        #expect((summary.inserted, summary.problems) == (2 * Self.minutes + 1, 0))
        #expect(try compressed == [true, true, false])
        for (number, text) in zip(1...2, plain) {
            let file = SegmentFile(try fixture.segment(number))
            #expect(file.number == number)
            #expect(try file.open().end == text.count)
            #expect(try fixture.bytes(number).count * 3 < text.count)
        }
        let status = try SpoolStatus.read(fixture.directory, try fixture.database)
        let small = try (1...2).reduce(0) { try $0 + fixture.bytes($1).count }
        #expect((status.compressed.segments, status.compressed.bytes, status.loaded.segments) == (2, small, 3))
        #expect(status.loadedText.hasPrefix("3 segments, ") && status.loadedText.contains(", 2 of them compressed, "))
        #expect(try drain() == DrainReport.Summary(seconds: 0) || drain().records == 0)
        let verified = try verify {
            $0.reconciliation = try Reconciliation(fixture.database, directory: fixture.directory)
        }
        #expect(verified.problems == 0 && verified.records == 3 && verified.notes.isEmpty)
        #expect(verified.database?.readings == 2 * Self.minutes + 1 && verified.database?.missing == 0)
    }

    /// Only `loaded/` may have compressed segments. The loader would never load one in `pending/`.
    @Test func verifyNamesACompressedSegmentAmongThePendingOnes() throws {
        _ = try drain()
        let misplaced = fixture.directory.pending.appending("00000001.spool.zst")
        try fixture.directory.disk.rename(fixture.directory.compressedPath(1), to: misplaced)
        let findings = try verify().findings
        #expect(
            findings.contains { $0.file == misplaced.string && $0.reason.hasPrefix("is not a segment") }, "\(findings)")
    }

    @Test func withoutTheSettingNoSegmentIsCompressed() throws {
        _ = try fixture.drain()
        #expect(try compressed == [false, false, false])
        // Plain segments from before the setting are compressed later.
        #expect(try drain().records == 0)
        #expect(try compressed == [true, true, false])
    }

    /// Invariant 6: a restored database is refilled from the segments that the spool still holds.
    @Test func aRestoredDatabaseIsRefilledFromCompressedSegments() throws {
        _ = try drain()
        try fixture.sql("DELETE FROM power_logs; DELETE FROM spool_progress")
        #expect(try drain().inserted == 2 * Self.minutes + 1)
        #expect(try fixture.count() == 2 * Self.minutes + 1)
        #expect(try fixture.progress().count == 3)
        #expect(try compressed == [true, true, false])
    }

    @Test func replayAndCatReadACompressedFileFromAnywhere() throws {
        _ = try drain()
        let copy = fixture.path.appending("copy-without-a-name")
        try FileManager.default.copyItem(atPath: try fixture.segment(2).path.string, toPath: copy.string)
        try fixture.sql("DELETE FROM power_logs")
        let selection = try ReadingSelection.parse(["--device", "plug"])
        let replay = Replay(
            selection: selection, rules: try RuleChange.parse([]),
            destination: Replay.Destination(
                connection: try Fixture.connect(), table: ReadingTable(name: try fixture.table)),
            damaged: { Issue.record("\($0)") })
        #expect(try replay.run(SegmentFile(copy)).inserted == Self.minutes)
        #expect(try fixture.count() == Self.minutes)
        var lines = 0
        let dump = RecordDump(
            selection: selection, readings: true, put: { _ in lines += 1 }, damaged: { Issue.record("\($0)") })
        for file in try SegmentFile.named(["1", "2", "3"], in: { fixture.directory }) { try dump.run(file) }
        #expect(lines == 2 * Self.minutes)
    }

    @Test func damageInACompressedSegmentIsNamedAndTheSegmentIsKept() throws {
        _ = try drain()
        let path = try fixture.segment(1).path
        var bytes = try fixture.bytes(1)
        bytes[bytes.count / 2] ^= 1
        try fixture.overwrite(1, bytes)
        var said: [String] = []
        let report = VerificationReport { said.append($0) }
        try Verification(directory: fixture.directory).run(report)
        #expect(said.first?.hasPrefix("\(path) bytes ") == true)
        #expect(said.first?.contains(": frame 2 of the compressed file, its bytes ") == true)
        #expect(said.first?.hasSuffix("restore this file from a backup") == true)
        #expect(try drain().problems == 0)
        _ = try fixture.drain { $0.retention.bytes = 0 }
        #expect(try fixture.directory.segments().map(\.number) == [1, 3])
        #expect(try fixture.bytes(1) == bytes)
    }

    /// A failed compression, as on a full disk or without the right to write, does not stop the loading.
    @Test func aFailedCompressionIsLoggedWithItsFixAndTriedAgain() throws {
        // No file with this name can be created as long as there is a folder with it.
        let obstacle = fixture.path.appending("compressed.new")
        try FileManager.default.createDirectory(
            atPath: obstacle.appending("x").string, withIntermediateDirectories: true)
        let summary = try drain()
        #expect((summary.inserted, summary.problems) == (2 * Self.minutes + 1, 0))
        let lines = Mutex<[String]>([])
        let recorder = Recorder { line in lines.withLock { $0.append(line) } }
        Compression(
            directory: fixture.directory, logger: Logger(label: "test") { _ in recorder }, shutdown: ShutdownSignal()
        ).run(try fixture.directory.segments())
        #expect(try compressed == [false, false, false])
        let warnings = lines.withLock { $0 }
        #expect(warnings.count == 2)
        #expect(warnings.allSatisfy { $0.contains("\(obstacle)") && $0.contains("LOADER_COMPRESS=off") }, "\(warnings)")
        try FileManager.default.removeItem(atPath: obstacle.string)
        _ = try drain()
        #expect(try compressed == [true, true, false])
    }

    /// Segment 3 is replaced by hand, so its compression shows whether it was examined. Without a mark, or with a torn
    /// one, the loader examines all segments.
    @Test(arguments: [
        (nil, true), ("", true), (#"{"segments":[[3,"#, true), (#"{"segments":[],"examined_at":"NOW"}"#, true),
        (#"{"segments":[[3,3]],"examined_at":"NOW"}"#, false),
        (#"{"segments":[[3,3]],"examined_at":"2020-01-01T00:00:00.000Z"}"#, true),
        (#"{"segments":[[3,3]],"examined_at":"2200-01-01T00:00:00.000Z"}"#, true),
    ])
    func shortSegmentsAreExaminedOnceADay(mark: String?, isExamined: Bool) throws {
        try fixture.append(Fixture.batch(minutes: 1001..<1002, device: "other"))
        fixture.seal()
        _ = try drain()
        #expect(try compressed == [true, true, false, false])
        let first = try #require(fixture.directory.plainMark())
        // The newest segment has not been examined.
        #expect(first.segments == SegmentNumbers([3]))
        try fixture.append(Fixture.batch(minutes: 1002..<1003, device: "other"))
        fixture.seal()
        _ = try drain()
        #expect(
            fixture.directory.plainMark() == PlainMark(segments: SegmentNumbers([3, 4]), examinedAt: first.examinedAt))

        try fixture.overwrite(3, fixture.bytes(3) + [UInt8](repeating: UInt8(ascii: "\n"), count: 8192))
        let path = fixture.path.appending("plain.json").string
        try FileManager.default.removeItem(atPath: path)
        if let mark {
            let text = mark.replacing("NOW", with: Timestamp.now.iso8601)
            try text.write(toFile: path, atomically: false, encoding: .utf8)
        }
        #expect(try drain().isEmpty)
        #expect(try compressed == [true, true, isExamined, false, false])
        #expect(fixture.directory.plainMark()?.segments == SegmentNumbers(isExamined ? [4] : [3, 4]))
    }

    @Test func verifyNotesAPlainFileBesideItsCompressedOne() throws {
        let plain = try fixture.bytes(1)
        _ = try drain()
        try Data(plain).write(to: URL(filePath: fixture.directory.loaded.appending("00000001.spool").string))
        let summary = try verify()
        #expect(summary.problems == 0 && summary.notes.count == 1)
        _ = try drain()
        #expect(try compressed == [true, true, false] && verify().notes.isEmpty)
        // In pending/ it is a fault, whether it is compressed or not.
        try Data(plain).write(to: URL(filePath: fixture.directory.pending.appending("00000001.spool").string))
        #expect(try verify().findings.contains { $0.reason.contains("is in pending/ as well") })
    }
}

/// Passes warnings to a closure.
private struct Recorder: LogHandler {
    let note: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    init(_ note: @escaping @Sendable (String) -> Void) { self.note = note }

    func log(event: LogEvent) { note("\(event.message)") }
}
