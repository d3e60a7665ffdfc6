import Foundation
import Synchronization
import Testing

/// Processes are killed and the database stops; afterwards every acknowledged reading is in the table exactly once
/// (invariant 2).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct FaultTests {
    let rig: Rig

    init() throws {
        rig = try Rig(hasCluster: true)
        try rig.startReceiver()
    }

    @Test func killOfTheReceiverUnderEightClientsLosesNothing() throws {
        // Invariants 1, 2 and 3. Each batch has a device of its own with 20 readings, so a device's rows show whether
        // its batch was kept.
        let acknowledged = Devices()
        let sent = Devices()
        for round in 0..<3 {
            let answeredBefore = acknowledged.all.count
            rig.concurrently(8 + 1) { [rig] client in
                guard client < 8 else {
                    // In the middle of a round: some of its batches are answered, and more are on their way.
                    try rig.wait("no batch is answered") { acknowledged.all.count > answeredBefore + 10 * (round + 1) }
                    rig.stopReceiver(SIGKILL)
                    return
                }
                for batch in 0..<1000 {
                    let device = "plug-\(round)-\(client)-\(batch)"
                    sent.insert(device)
                    guard let answer = try? rig.post(Rig.batch(device, minutes: 0..<20)), answer.status == 200 else {
                        return
                    }
                    #expect(answer.count("inserted") == 20)
                    acknowledged.insert(device)
                }
            }
            try rig.startReceiver()
        }
        let known = acknowledged.all
        #expect(known.count >= 30)
        // The ledger has exactly the durable keys: all readings of an acknowledged batch are duplicates, and any other
        // batch is in the ledger as a whole or not at all.
        for device in sent.all {
            let again = try rig.post(Rig.batch(device, minutes: 0..<20))
            #expect(known.contains(device) ? again.count("duplicates") == 20 : again.count("errors") == 0)
            #expect([0, 20].contains(again.count("inserted")) && again.count("total_messages") == 20)
        }
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 20 * sent.all.count)
        for device in known {
            #expect(try rig.query("SELECT count(*) FROM power_logs WHERE device_id = '\(device)'") == "20")
        }
    }

    @Test func killOfTheLoaderInMidTransactionLosesNothing() throws {
        // Invariant 6: the rows and the progress are committed together or not at all.
        for device in 0..<20 {
            #expect(try rig.post(Rig.batch("plug-\(device)", minutes: 0..<100)).count("inserted") == 100)
        }
        try rig.withDrainInMidTransaction { _ in #expect(rig.stopLoader(SIGKILL) == -SIGKILL) }
        try rig.awaitEndOfLoaderSessions()
        #expect(try rig.query("SELECT count(*) FROM spool_progress") == "0")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 2000)
        let drained = try rig.expect(rig.load("drain", "--json"), status: 0)
        #expect(drained.contains("\"readings\":0"))
    }

    @Test func killOfTheLoaderWhileItCopiesLosesNothing() throws {
        for device in 0..<20 {
            #expect(try rig.post(Rig.batch("plug-\(device)", minutes: 0..<100)).count("inserted") == 100)
        }
        // Another writer has inserted the last key, so COPY has begun and cannot end.
        let rival = try rig.connect()
        let minute = Rig.newestMinute
        _ = try rival.execute("BEGIN; INSERT INTO power_logs (idempotency_key) VALUES ('plug-9_0_\(minute)')")
        try rig.wait("no loader waits within COPY") {
            if !rig.isLoaderRunning { try rig.startLoader("drain") }
            return try rig.query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'COPY%'
                """) == "1"
        }
        #expect(rig.stopLoader(SIGKILL) == -SIGKILL)
        _ = try rival.execute("ROLLBACK")
        try rig.awaitEndOfLoaderSessions()
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "0")
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 2000)
    }

    @Test(arguments: [false, true])
    func immediateStopOfTheDatabaseInMidDrainLosesNothing(follow: Bool) throws {
        for device in 0..<20 {
            #expect(try rig.post(Rig.batch("plug-\(device)", minutes: 0..<100)).count("inserted") == 100)
        }
        try rig.withDrainInMidTransaction(follow: follow) { _ in try rig.stopDatabase("immediate") }
        if !follow { #expect(rig.awaitLoader() == 75) }
        // Ingest works without the database.
        #expect(try rig.post(Rig.batch("meanwhile", minutes: 0..<10)).count("inserted") == 10)
        try rig.startDatabase()
        if follow {
            try rig.wait("the following loader has not caught up") {
                try rig.query("SELECT count(*) FROM power_logs") == "2010"
            }
            #expect(rig.stopLoader() == 0)
        } else {
            try rig.expect(rig.load("drain"), status: 0)
        }
        try rig.expectExactly(readings: 2010)
    }

    @Test func aSecondReceiverOrLoaderIsRefusedByTheSpoolsName() throws {
        // Invariant 10.
        let receiver = try rig.run(Rig.binaries! + "/shelly-receiver", ["--spool", rig.spool, "--port", "0"])
        #expect(receiver.status == 1 && receiver.text.contains(rig.spool))
        #expect(try rig.post(Rig.batch("plug", minutes: 0..<1)).status == 200)

        try rig.startLoader("drain", "--follow")
        try rig.wait("the loader does not load") { try rig.query("SELECT count(*) FROM power_logs") == "1" }
        let loader = try rig.load("drain")
        #expect(loader.status == 1 && loader.text.contains(rig.spool))
        #expect(rig.stopLoader() == 0)
    }

    @Test func sigtermAnswersBatchesInProgressAndSealsTheSegment() throws {
        let body = Rig.batch("late", minutes: 0..<10)
        #expect(try rig.post(Rig.batch("early", minutes: 0..<10)).status == 200)
        let client = try RawClient(port: rig.port)
        try client.beginBatch(contentLength: body.utf8.count)
        try client.send(String(body.prefix(100)))
        rig.signalReceiver(SIGTERM)
        try rig.wait("the receiver still accepts connections") { (try? RawClient(port: rig.port)) == nil }
        try client.send(String(body.dropFirst(100)))
        let answer = try client.receive()
        #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("\"inserted\":10"))
        #expect(rig.stopReceiver() == 0)
        let segment = try String(contentsOfFile: rig.spool + "/pending/00000001.spool", encoding: .utf8)
        #expect(segment.split(separator: "\n").last?.hasPrefix("{") == true)
        try rig.expect(rig.load("drain"), status: 0)
        try rig.expectExactly(readings: 20)
    }

    @Test func aTornSegmentIsLoadedUpToItsTailAndTheNextOneFollows() throws {
        for minutes in [0..<5, 5..<10] {
            #expect(try rig.post(Rig.batch("plug", minutes: minutes)).count("inserted") == 5)
        }
        rig.stopReceiver(SIGKILL)
        // A part of a line at the end, as a power cut leaves it of a write that was never acknowledged.
        let first = rig.spool + "/pending/00000001.spool"
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: first))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("1badcafe 3 1795392000000 512 {\"messages\":[".utf8))
        try handle.close()
        try rig.startReceiver()
        let next = try rig.post(Rig.batch("plug", minutes: 0..<15))
        #expect(next.count("inserted") == 5 && next.count("duplicates") == 10)
        #expect((next.json["record"] as? String) == "00000002:1")
        try rig.expect(rig.load("drain"), status: 0)
        #expect(try rig.query("SELECT count(*) FROM power_logs") == "15")
    }
}

private final class Devices: Sendable {
    private let names = Mutex(Set<String>())

    var all: Set<String> { names.withLock { $0 } }

    func insert(_ name: String) { names.withLock { _ = $0.insert(name) } }
}
