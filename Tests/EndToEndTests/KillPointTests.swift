import Foundation
import Seeds
import Testing

/// `kill -9` before each system call that touches the spool's files or sends an answer, one after the other; a kill
/// before one call is a kill after the one before. Afterwards each acknowledged reading is in the table once, and the
/// counts are right (invariants 1, 2, 3, 4, 6 and 8).
@Suite(
    .serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"),
    .enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
struct KillPointTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    /// Segments so small that four batches fill one and the next batch begins another.
    private let settings = ["SPOOL_SEGMENT_BYTES": "4096"]

    /// Kills at the first, second, … call of a kind, until the program makes no further one, and returns the number of
    /// the last killed call. The short run kills at every fifth call only.
    private func killPoints(_ call: String, _ survives: (_ injection: String) throws -> Bool) throws -> Int {
        let step = Effort.isLong ? 1 : 5
        var last = 0
        for number in stride(from: 1, to: 100, by: step) {
            try rig.beginAgain()
            if try survives("\(call):signal=KILL:when=\(number)") {
                print("killed at calls 1 to \(last) of \(call), every \(step)")
                return last
            }
            last = number
        }
        throw Rig.Failure(description: "\(call): more calls than expected")
    }

    /// The files and folders of a new spool.
    private var spoolPaths: [String] {
        ["", "/spool.json", "/receiver.lock", "/loader.lock", "/pending", "/loaded", "/rejected"].map { rig.spool + $0 }
    }

    @Test func aReceiverKilledAtAnyCallOfItsFirstStartStartsAgain() throws {
        for call in ["mkdir", "openat", "pwrite64", "fdatasync", "link", "unlink", "fsync"] {
            let points = try killPoints(call) { injection in
                let killer = Strace.around(injection, paths: call == "openat" ? spoolPaths : [])
                let isStarted = (try? rig.startReceiver(settings, under: killer)) != nil
                let status = rig.stopReceiver()
                #expect(isStarted || status == -SIGKILL)
                let book = BatchBook()
                try rig.startReceiver(settings)
                try book.post("plug", through: RawClient(port: rig.port), expecting: 200)
                #expect(rig.stopReceiver() == 0)
                try rig.expectLoaded(book)
                return isStarted
            }
            #expect(points >= 1, "\(call)")
        }
    }

    @Test func aReceiverKilledAtAnyCallKeepsAcknowledgedBatches() throws {
        for call in ["openat", "pwrite64", "sync_file_range", "fdatasync", "fsync", "writev"] {
            let points = try killPoints(call) { injection in
                let book = BatchBook()
                try rig.startReceiver(settings)
                var status: Int32 = 0
                try Strace.injecting(injection, into: rig) {
                    let client = try RawClient(port: rig.port)
                    for batch in 0..<4 {
                        guard (try? book.post("plug-\(batch)", through: client)) != nil else { break }
                    }
                    // At the end the receiver writes the footer and synchronizes it.
                    status = rig.stopReceiver()
                }
                #expect(status == -SIGKILL || status == 0 && book.acknowledged == 4)

                try rig.startReceiver(settings)
                #expect(rig.lost(try rig.readingsInSpool(), book) == 0, "\(injection)")
                try rig.expect(rig.load("drain"), status: 0)
                #expect(rig.lost(try rig.readingsInTable(), book) == 0, "\(injection)")
                try rig.expectLedgerKnows(book)
                #expect(rig.stopReceiver() == 0)
                try rig.expectLoaded(book)
                return status == 0
            }
            // Two segments of four batches: as many writes and syncs, two syncs of the directory, four answers.
            #expect(points >= (!Effort.isLong ? 1 : call == "fsync" ? 2 : 4), "\(call)")
        }
    }

    @Test func aLoaderKilledAtAnyCallLoadsEachReadingOnce() throws {
        let (model, book) = try spooled()
        for call in ["openat", "fdatasync", "sendto", "write", "fsync", "pwrite64", "rename", "unlink"] {
            let points = try killPoints(call) { injection in
                try FileManager.default.copyItem(atPath: model, toPath: rig.spool)
                var status: Int32 = 0
                try rig.wait("the loader cannot use the database") {
                    try rig.startLoader(
                        "drain", environment: ["LOADER_STATEMENT_ROWS": "30", "LOG_LEVEL": "warning"],
                        under: Strace.around(injection, paths: call == "openat" ? loaderPaths : []))
                    status = rig.awaitLoader()
                    // 75: the database did not answer in time, so the loader has loaded nothing.
                    return status != 75
                }
                #expect(status == 0 || status == -SIGKILL)
                try rig.awaitEndOfLoaderSessions()
                // A transaction commits rows and progress together, and never before the dead letters are written.
                let letters = try rig.deadLetteredDevices()
                for device in try rig.readingsInTable().keys { #expect(letters.contains(device), "\(injection)") }

                try rig.expectLoaded(book)
                #expect(try rig.deadLetteredDevices() == Set(book.all.keys))
                #expect(try FileManager.default.contentsOfDirectory(atPath: rig.spool + "/pending") == [])
                // The first segment is compressed, whether the kill came before the compression or during it. The
                // newest one is not.
                #expect(
                    try FileManager.default.contentsOfDirectory(atPath: rig.spool + "/loaded").sorted()
                        == ["00000001.spool.zst", "00000002.spool"])
                #expect(!FileManager.default.fileExists(atPath: rig.spool + "/compressed.new"))
                #expect(try rig.query(Self.progressAddsUp(to: book)) == "t", "\(injection)")
                return status == 0
            }
            #expect(points >= (Effort.isLong ? 2 : 1), "\(call)")
        }
    }

    private static func progressAddsUp(to book: BatchBook) -> String {
        """
        SELECT bool_and(finished) AND sum(inserted) = \(book.readings * book.all.count)
            AND sum(readings) = sum(inserted + duplicates + rejected) AND sum(rejected) = \(book.all.count)
        FROM spool_progress
        """
    }

    /// A spool of two segments. Each batch has a message that the loader dead-letters.
    private func spooled() throws -> (path: String, BatchBook) {
        let book = BatchBook(hasFault: true)
        try rig.startReceiver(settings)
        let client = try RawClient(port: rig.port)
        for batch in 0..<5 { try book.post("plug-\(batch)", through: client) }
        #expect(rig.stopReceiver() == 0)
        return (rig.spool, book)
    }

    /// The files and folders that the loader opens.
    private var loaderPaths: [String] {
        let segments = (1...2).map { String(format: "/pending/%08d.spool", $0) }
        let made = ["/loaded.json.new", "/drained.json.new", "/compressed.new", "/loaded/00000001.spool"]
        return spoolPaths + (segments + made).map { rig.spool + $0 }
    }
}

extension Rig {
    /// The devices in the dead letters of `rejected/`.
    func deadLetteredDevices() throws -> Set<String> {
        let script = #"cat "$0"/rejected/*.ndjson 2>/dev/null | grep -o '"device_id":"[^"]*' | cut -d'"' -f4 | sort -u"#
        return Set(try run("/bin/bash", ["-c", script, spool]).text.split(separator: "\n").map(String.init))
    }
}
