import Foundation
import Synchronization
import Testing

/// Disks that fail, are slow, full or read-only, too few file descriptors, and a wrong clock. A failed batch gets 503
/// and counts as new afterwards, no acknowledged batch is lost, and ingest resumes by itself (invariants 1, 2, 4, 5, 10
/// and 11).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct DiskFaultTests {
    let rig: Rig
    let book = BatchBook()

    init() throws { rig = try Rig() }

    /// Every batch fills a segment. So each one begins a segment, seals it and makes all of the calls.
    private static let segmentABatch = ["SPOOL_SEGMENT_BYTES": "4096"]

    /// Restarts the receiver after a kill and compares ledger, spool and table with the book.
    private func expectKept(_ book: BatchBook) throws {
        rig.stopReceiver(SIGKILL)
        try rig.startReceiver(["SPOOL_RESERVE_BYTES": "0"])
        #expect(rig.lost(try rig.readingsInSpool(), book) == 0)
        try rig.expectLedgerKnows(book)
        #expect(rig.stopReceiver() == 0)
        try rig.expectLoaded(book)
    }

    private static let faults = [
        "openat:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC", "sync_file_range:error=EIO",
        "fdatasync:error=EIO", "fsync:error=EIO",
    ]

    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func oneFailedCallFailsOnlyItsBatch() throws {
        for fault in Self.faults {
            try rig.beginAgain()
            try oneFailedCallFailsOnlyItsBatch(fault)
        }
    }

    private func oneFailedCallFailsOnlyItsBatch(_ fault: String) throws {
        let book = BatchBook(readings: 60)
        try rig.startReceiver(Self.segmentABatch)
        let client = try RawClient(port: rig.port)
        try book.post("before", through: client, expecting: 200)
        // The first segment is closed before the fault, because a failed call on closing it would fail no batch.
        let digest = rig.spool + "/ledger/00000001.keys"
        try rig.wait("the segment is not closed") { FileManager.default.fileExists(atPath: digest) }
        try Strace.injecting(fault + ":when=1", into: rig) {
            try book.post("struck", through: client, expecting: 503)
            // The batch is sent again, and all of it counts as new.
            try book.post("struck", through: client, expecting: 200)
        }
        try book.post("after", through: client, expecting: 200)
        try expectKept(book)
    }

    /// Some containers forbid sync_file_range(2) or do not have it. Batches are accepted without it.
    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"), arguments: ["ENOSYS", "EPERM"])
    func withoutSyncFileRangeBatchesAreAccepted(_ cause: String) throws {
        let book = BatchBook(readings: 60)
        try rig.startReceiver(Self.segmentABatch)
        try Strace.injecting("sync_file_range:error=\(cause)", into: rig) {
            let client = try RawClient(port: rig.port)
            for batch in 0..<3 { try book.post("\(batch)", through: client, expecting: 200) }
        }
        try expectKept(book)
    }

    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func ingestResumesByItselfWhenTheDiskWorksAgain() throws {
        for fault in Self.faults {
            try rig.beginAgain()
            try ingestResumesByItselfWhenTheDiskWorksAgain(fault)
        }
    }

    private func ingestResumesByItselfWhenTheDiskWorksAgain(_ fault: String) throws {
        let book = BatchBook(readings: 60)
        try rig.startReceiver(Self.segmentABatch)
        let client = try RawClient(port: rig.port)
        try book.post("before", through: client, expecting: 200)
        try Strace.injecting(fault, into: rig) {
            for batch in 0..<5 { try book.post("struck-\(batch)", through: client, expecting: 503) }
            #expect(try rig.get("/readyz").status == 503)
            #expect(try rig.get("/healthz").status == 200)
        }
        for batch in 0..<5 { try book.post("struck-\(batch)", through: client, expecting: 200) }
        #expect(try rig.get("/readyz").status == 200)
        // A segment without a durable record is removed, so failed segments cannot fill a disk.
        #expect(try rig.segmentNames().count == 6)
        try expectKept(book)
    }

    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func batchesShareTheSyncOfASlowDiskAndOtherRequestsDoNotWait() throws {
        try rig.startReceiver()
        let clients = try (0..<16).map { _ in try RawClient(port: rig.port) }
        try Strace.injecting("fdatasync:" + Strace.hang, into: rig) {
            for (number, client) in clients.enumerated() { try book.send("plug-\(number)", through: client) }
            try rig.wait("the receiver does not read the batches") { try rig.hasReceiverReadAll() }
            // A request that needs no disk is answered, and no batch is answered before the sync (invariant 1).
            #expect(try rig.get("/healthz").status == 200)
            #expect(!clients.contains { $0.hasInput })
        }
        for (number, client) in clients.enumerated() {
            #expect(try book.awaitAnswer("plug-\(number)", from: client).status == 200)
        }
        // Batches that arrive during a sync share the next one.
        let metrics = try rig.get("/metrics").text
        let count = metrics.firstMatch(of: /shelly_fdatasync_seconds_count ([0-9]+)/).flatMap { Int($0.1) }
        let syncs = try #require(count)
        #expect((1...8).contains(syncs))
        try expectKept(book)
    }

    @Test func aShortWriteIsNeverAcknowledged() throws {
        // A limit on the file's length makes the kernel write a part of the bytes and refuse the rest. Its signal is
        // ignored.
        try rig.startReceiver(under: ["/bin/sh", "-c", #"trap '' XFSZ; exec "$0" "$@""#])
        let client = try RawClient(port: rig.port)
        for batch in 0..<3 { try book.post("before-\(batch)", through: client, expecting: 200) }
        let first = rig.spool + "/pending/00000001.spool"
        let length = try rig.fileLength(first)
        try rig.limitReceiver("fsize", to: length + 100)
        try book.post("cut", through: client, expecting: 503)
        #expect(try rig.fileLength(first) == length + 100)
        // The next segment has room (invariants 4 and 5).
        try book.post("cut", through: client, expecting: 200)
        #expect(try rig.segmentNames() == ["00000001.spool", "00000002.spool"])
        try expectKept(book)
    }

    @Test(
        .enabled(if: MountedDisk.obstacle == nil, "\(MountedDisk.obstacle ?? "")"),
        arguments: [MountedDisk.Kind.ext4, .tmpfs])
    func ingestOnAFullFileSystemFailsUntilThereIsRoom(kind: MountedDisk.Kind) throws {
        try withDisk(MountedDisk(kind, megabytes: 16)) { disk in
            // Without a reserve the file system itself refuses, and it cuts a write short at any byte.
            try rig.startReceiver(["SPOOL_RESERVE_BYTES": "0", "SPOOL_SEGMENT_BYTES": "262144"])
            let ballast = disk.path + "/ballast"
            let client = try RawClient(port: rig.port)
            try book.post("before", through: client, expecting: 200)
            // Another program fills the disk while clients post.
            rig.concurrently(4) { [rig, book] role in
                guard role < 3 else { return try fill(ballast) }
                book.postUntilRefused("plug-\(role)", through: try RawClient(port: rig.port))
            }
            // Batches that were refused together may have left room for one of them.
            try fill(ballast)
            book.postUntilRefused("rest", through: client)
            for batch in 0..<5 { try book.post("full-\(batch)", through: client, expecting: 503) }
            #expect(try rig.get("/healthz").status == 200)
            try FileManager.default.removeItem(atPath: ballast)
            for device in book.devices(.refused) {
                try book.post(device, through: client, expecting: 200)
            }
            #expect(try rig.get("/readyz").status == 200)
            try expectKept(book)
        }
    }

    /// A full disk during the compression of a loaded segment is one line in the log. Loading continues, and the next
    /// run compresses again.
    @Test(.enabled(if: Strace.obstacle == nil, "\(Strace.obstacle ?? "")"))
    func aFaultDuringCompressionDoesNotStopTheLoading() throws {
        for fault in ["pwrite64:error=ENOSPC", "pwrite64:error=EIO:when=2", "fdatasync:error=EIO"] {
            try rig.beginAgain()
            let book = BatchBook(readings: 60)
            try rig.startReceiver(["SPOOL_SEGMENT_BYTES": "4096"])
            let client = try RawClient(port: rig.port)
            for batch in 0..<4 { try book.post("plug-\(batch)", through: client, expecting: 200) }
            #expect(rig.stopReceiver() == 0)
            let draft = rig.spool + "/compressed.new"
            try rig.startLoader("drain", under: Strace.around(fault, paths: [draft]))
            #expect(rig.awaitLoader() == 0)
            #expect(try rig.readingsInTable() == book.all.mapValues { _ in book.readings })
            let log = try rig.loaderLog
            #expect(log.contains("a loaded segment stays uncompressed for now: cannot write \(draft)"), "\(log)")
            #expect(log.contains("LOADER_COMPRESS=off"))
            #expect(!FileManager.default.fileExists(atPath: draft))
            try rig.expectLoaded(book)
            #expect(try rig.segmentNames().filter { $0.hasSuffix(".zst") }.count == rig.segmentNames().count - 1)
        }
    }

    @Test(.enabled(if: MountedDisk.obstacle == nil, "\(MountedDisk.obstacle ?? "")"))
    func withoutFreeInodesIngestFailsUntilThereAreSome() throws {
        // The disk has free bytes and no free inodes, which statvfs(3) does not show as a lack of bytes.
        let book = BatchBook(readings: 60)
        try withDisk(MountedDisk(.tmpfs, megabytes: 64, options: ",nr_inodes=16")) { disk in
            try rig.startReceiver(Self.segmentABatch.merging(["SPOOL_RESERVE_BYTES": "0"]) { $1 })
            var number = 0
            let client = try RawClient(port: rig.port)
            while try book.post("plug-\(number)", through: client).status == 200 {
                number += 1
                try #require(number < 16)
            }
            #expect(number > 0)
            try book.post("plug-\(number)", through: client, expecting: 503)
            try disk.remount("nr_inodes=200")
            try book.post("plug-\(number)", through: client, expecting: 200)
            try expectKept(book)
        }
    }

    @Test(.enabled(if: MountedDisk.obstacle == nil, "\(MountedDisk.obstacle ?? "")"))
    func ingestToAReadOnlySpoolFailsUntilItIsWritable() throws {
        let book = BatchBook(readings: 60)
        try withDisk(MountedDisk(.ext4, megabytes: 16)) { disk in
            let settings = Self.segmentABatch.merging(["SPOOL_RESERVE_BYTES": "0"]) { $1 }
            try rig.startReceiver(settings)
            let client = try RawClient(port: rig.port)
            try book.post("before", through: client, expecting: 200)
            // A file system with files open for writing cannot be made read-only, but the folder in it can.
            try rig.expect(rig.run("/usr/bin/chattr", ["+i", rig.spool + "/pending"]), status: 0)
            for batch in 0..<3 { try book.post("struck-\(batch)", through: client, expecting: 503) }
            #expect(try rig.get("/readyz").status == 503)
            #expect(try rig.get("/healthz").status == 200)
            let drained = try rig.load("drain")
            #expect(drained.status == 1 && drained.text.contains(rig.spool + "/pending/"), "\(drained.text)")
            try rig.expect(rig.run("/usr/bin/chattr", ["-i", rig.spool + "/pending"]), status: 0)
            #expect(try rig.get("/readyz").status == 200)
            for batch in 0..<3 { try book.post("struck-\(batch)", through: client, expecting: 200) }

            // A start on a read-only file system names the fault.
            rig.stopReceiver(SIGKILL)
            try disk.remount("ro")
            let refused = try rig.run(Rig.binaries! + "/shelly-receiver", ["--spool", rig.spool, "--port", "0"])
            #expect(refused.status == 1 && refused.text.contains("Read-only file system"), "\(refused.text)")
            try disk.remount("rw")
            try expectKept(book)
        }
    }

    @Test func withoutFileDescriptorsIngestFailsUntilThereAreMore() throws {
        let book = BatchBook(readings: 60)
        try rig.startReceiver(Self.segmentABatch)
        let client = try RawClient(port: rig.port)
        try book.post("before", through: client, expecting: 200)
        // The segment is sealed after the answer, and then its digest is written.
        let digest = rig.spool + "/ledger/00000001.keys"
        try rig.wait("the segment is not sealed") { FileManager.default.fileExists(atPath: digest) }
        // Only the numbers of the standard streams are left, however many files are open: the receiver can create no
        // segment and accept no connection.
        try rig.limitReceiver("nofile", to: 3)
        for batch in 0..<3 { try book.post("struck-\(batch)", through: client, expecting: 503) }
        // This connection waits to be accepted, and is served once there are descriptors.
        let waiting = try RawClient(port: rig.port)
        try waiting.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        try book.post("struck-0", through: client, expecting: 503)
        try rig.limitReceiver("nofile", to: 1024)
        #expect(try waiting.receive().hasPrefix("HTTP/1.1 200 "))
        for batch in 0..<3 { try book.post("struck-\(batch)", through: client, expecting: 200) }
        try book.post("another", through: RawClient(port: rig.port), expecting: 200)
        try expectKept(book)
    }

    private static let faketime: String? =
        ["x86_64", "aarch64"].map { "/usr/lib/\($0)-linux-gnu/faketime/libfaketimeMT.so.1" }
        .first { FileManager.default.isReadableFile(atPath: $0) }

    @Test(.enabled(if: faketime != nil, "faketime is not installed"))
    func aClockSetForwardAndBackLosesNothing() throws {
        // Forward by more than the retention of a segment (14 days), and back to before the first batch.
        let clock = rig.directory + "/clock"
        func set(_ offset: String) throws { try offset.write(toFile: clock, atomically: true, encoding: .utf8) }
        try set("+0")
        try rig.startReceiver([
            "LD_PRELOAD": try #require(Self.faketime), "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "SPOOL_SEGMENT_BYTES": "4096",
        ])
        let client = try RawClient(port: rig.port)
        for (step, offset) in ["+0", "+30d", "-20h", "+0"].enumerated() {
            try set(offset)
            for batch in 0..<4 { try book.post("plug-\(step)-\(batch)", through: client, expecting: 200) }
            try rig.expect(rig.load("drain", environment: ["LOADER_COMPRESS": "off"]), status: 0)
        }
        let created = try rig.segmentNames().compactMap { name in
            let segment = try String(contentsOfFile: rig.segmentPath(name), encoding: .utf8)
            return segment.range(of: #""created":"[^"]*"#, options: .regularExpression).map { String(segment[$0]) }
        }
        // The clock really changed: the numbers and the times of creation are in different orders, and the numbers
        // count.
        #expect(created.sorted() != created)
        try expectKept(book)
        // The loader removed no segment because of the wrong clock.
        #expect(try rig.segmentNames().first == "00000001.spool.zst")
    }

    @Test func aSecondReceiverAndLoaderAreRefusedUnderLoad() throws {
        // Invariant 10, under load: the second program is refused, and the first one is not disturbed.
        try rig.startReceiver()
        let isOver = Flag()
        let loaded = Mutex(0)
        rig.concurrently(4 + 1 + 2) { [rig, book] role in
            switch role {
            case 0..<4:
                let client = try RawClient(port: rig.port)
                for batch in 0..<100 { try book.post("plug-\(role)-\(batch)", through: client, expecting: 200) }
                isOver.set()
            case 4:
                repeat {
                    let second = try rig.run(Rig.binaries! + "/shelly-receiver", ["--spool", rig.spool, "--port", "0"])
                    #expect(second.status == 1 && second.text.contains(rig.spool), "\(second.text)")
                } while !isOver.isSet
            default:
                repeat {
                    let drained = try rig.load("drain")
                    // The server may not have ended the session of the previous loader.
                    let isRefused =
                        drained.text.contains(rig.spool) || drained.text.contains("perhaps from a copy of the spool")
                    #expect(drained.status == 0 || drained.status == 1 && isRefused, "\(drained.text)")
                    if drained.status == 0 { loaded.withLock { $0 += 1 } }
                } while !isOver.isSet
            }
        }
        #expect(book.acknowledged == 400)
        #expect(loaded.withLock { $0 } > 0)
        try expectKept(book)
    }

    /// Runs `body` with the spool on the disk, and unmounts the disk afterwards.
    private func withDisk(_ disk: MountedDisk, _ body: (MountedDisk) throws -> Void) throws {
        rig.spool = disk.path + "/spool"
        defer {
            rig.stopReceiver(SIGKILL)
            #expect(throws: Never.self) { try disk.unmount() }
        }
        try body(disk)
    }
}

/// Writes a file until the disk is full.
private func fill(_ path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Rig.Failure(description: "cannot create \(path): errno \(errno)") }
    defer { close(descriptor) }
    let piece = [UInt8](repeating: 0, count: 4096)
    while write(descriptor, piece, piece.count) > 0 {}
    #expect(errno == ENOSPC)
}

extension Rig {
    /// The names of the spool's segments in all folders, in order.
    fileprivate func segmentNames() throws -> [String] {
        try ["/pending", "/loaded"].flatMap { try FileManager.default.contentsOfDirectory(atPath: spool + $0) }.sorted()
    }

    fileprivate func segmentPath(_ name: String) -> String {
        let pending = spool + "/pending/" + name
        return access(pending, F_OK) == 0 ? pending : spool + "/loaded/" + name
    }

    fileprivate func fileLength(_ path: String) throws -> Int {
        (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.intValue ?? 0
    }

    /// Sets a limit of the running receiver (prlimit(1)).
    fileprivate func limitReceiver(_ resource: String, to value: Int) throws {
        try expect(
            run("/usr/bin/prlimit", ["--pid", "\(receiverProcess)", "--\(resource)=\(value):"]), status: 0)
    }
}
