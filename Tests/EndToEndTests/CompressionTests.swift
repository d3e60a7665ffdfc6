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

    /// Segments of a batch each, loaded and plain, as a version without compression leaves them.
    private func fill() throws {
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        let client = try RawClient(port: rig.port)
        for batch in 0..<4 { try book.post("plug-\(batch)", through: client, expecting: 200) }
        try rig.expect(rig.load("drain", environment: ["LOADER_COMPRESS": "off"]), status: 0)
        #expect(try loaded.allSatisfy { $0.hasSuffix(".spool") } && loaded.count >= 3)
    }

    @Test func aLoaderThatFollowsCompressesBesideTheLoading() throws {
        try fill()
        let plain = try loaded
        try rig.startLoader("drain", "--follow")
        try rig.wait("nothing is compressed") { try loaded.count { $0.hasSuffix(".zst") } >= plain.count - 1 }
        try book.post("late", through: RawClient(port: rig.port), expecting: 200)
        try rig.wait("the late batch is not loaded") { try rig.readingsInTable()["late"] == 60 }
        #expect(rig.stopLoader() == 0)
        let found = try rig.load("cat", "--readings", "--device", "plug-0").text
        #expect(found.split(separator: "\n").count == 60)
        // A start knows every key, and a resend is a duplicate.
        rig.stopReceiver()
        try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
        try rig.expectLedgerKnows(book)
        try rig.expectLoaded(book)
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
