import Foundation
import Testing

/// The programs with compressed segments in the spool (invariants 2, 3, 6 and 8).
@Suite(.ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct CompressionTests {
    let rig: Rig
    let book = BatchBook(readings: 60)

    init() throws { rig = try Rig() }

    private var loaded: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: rig.spool + "/loaded").sorted() }
    }

    /// Segments with one batch each, loaded and plain, as a version without compression leaves them.
    private func fill() throws {
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        let client = try RawClient(port: rig.port)
        for batch in 0..<4 { try book.post("plug-\(batch)", through: client, expecting: 200) }
        try rig.expect(rig.load("drain", environment: ["LOADER_COMPRESS": "off"]), status: 0)
        #expect(try loaded.allSatisfy { $0.hasSuffix(".spool") } && loaded.count >= 3)
    }

    @Test func aLoaderThatFollowsCompressesAndLoads() throws {
        try fill()
        let plain = try loaded
        try rig.startLoader("drain", "--follow")
        try rig.wait("no segment is compressed") { try loaded.count { $0.hasSuffix(".zst") } >= plain.count - 1 }
        try book.post("late", through: RawClient(port: rig.port), expecting: 200)
        try rig.wait("the late batch is not loaded") { try rig.readingsInTable()["late"] == 60 }
        #expect(rig.stopLoader() == 0)
        let found = try rig.load("cat", "--readings", "--device", "plug-0").text
        #expect(found.split(separator: "\n").count == 60)
        // After a restart every key is in the ledger, so a repeated batch is a duplicate.
        rig.stopReceiver()
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        try rig.expectLedgerKnows(book)
        try rig.expectLoaded(book)
    }

    /// The system calls of a `drain` that name a file, one per line.
    private func drainRecorded() throws -> [Substring] {
        let log = rig.directory + "/drain.strace"
        try rig.wait("the loader cannot use the database") {
            try rig.startLoader("drain", under: Strace.recording("%file", in: log))
            return rig.awaitLoader() == 0
        }
        return try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
    }

    /// An idle drain opens neither a compressed segment nor one that is too short for compression.
    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func anIdleDrainReadsOnlyTheNamesOfLoadedSegments() throws {
        try fill()
        let short = BatchBook(readings: 1)
        for batch in 0..<2 {
            rig.stopReceiver()
            try rig.startReceiver()
            try short.post("short-\(batch)", through: RawClient(port: rig.port), expecting: 200)
        }
        rig.stopReceiver()
        for _ in 0..<2 { try rig.expect(rig.load("drain"), status: 0) }
        let segments = try loaded
        #expect(segments.count { $0.hasSuffix(".zst") } >= 3 && segments.count { $0.hasSuffix(".spool") } == 2)

        func touched(_ calls: [Substring]) -> [Substring] {
            calls.filter { call in segments.contains { call.contains("/loaded/" + $0) } }
        }
        let idle = try drainRecorded()
        #expect(touched(idle).isEmpty)
        // The folder is opened once for its fsync and once for each kind of file.
        #expect(idle.count { $0.contains("\"\(rig.spool)/loaded\", ") } == 3, "\(idle)")
        // Without `plain.json` the loader examines the short segment again, but not the newest one.
        try FileManager.default.removeItem(atPath: rig.spool + "/plain.json")
        #expect(touched(try drainRecorded()).count == 1)
        #expect(touched(try drainRecorded()).isEmpty)
    }

    @Test func withoutTheirDigestsAStartReadsCompressedSegments() throws {
        try fill()
        try rig.expectLoaded(book)
        #expect(try loaded.first?.hasSuffix(".zst") == true)
        rig.stopReceiver(SIGKILL)
        try FileManager.default.removeItem(atPath: rig.spool + "/ledger")
        try rig.startReceiver()
        try rig.expectLedgerKnows(book)
    }

    @Test func anEmptiedDatabaseIsFilledFromCompressedSegments() throws {
        try fill()
        try rig.expectLoaded(book)
        #expect(try loaded.first?.hasSuffix(".zst") == true)
        try rig.query("TRUNCATE power_logs, spool_progress")
        try rig.expectLoaded(book)
    }
}
