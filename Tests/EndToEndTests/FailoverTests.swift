import Foundation
import Seeds
import Synchronization
import Testing

/// A real primary with a real streaming standby. The primary is lost under load (invariants 2 and 6).
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct FailoverTests {
    private static let cases: [(Bool, StreamingPair.Loss)] =
        [(false, .killed), (true, .silent)] + (Effort.isLong ? [(false, .silent), (true, .killed)] : [])

    let rig: Rig

    init() throws { rig = try Rig(hasCluster: true) }

    /// Each reading is in the table once, although the standby may lack the last transactions: the loader inserts them
    /// again from the spool.
    ///
    /// The time from the promotion to the first row should be below ten seconds. It is printed and not asserted: the
    /// programs share the machine with other tests and with two servers, one of which has just become the primary.
    @Test(arguments: cases)
    func failoverLosesNoReading(isSynchronous: Bool, loss: StreamingPair.Loss) throws {
        let pair = try StreamingPair(rig, isSynchronous: isSynchronous)
        try rig.startReceiver()
        _ = try rig.get("/api/stats/queue") { $0.status == 200 }
        // A frozen server's machine still acknowledges packets, and a statement may take an hour here.
        try rig.startLoader("drain", "--follow")
        let load = Load(rig)
        for round in 0..<Effort.setting("SHELLY_FAILOVERS", short: 1, long: 4) {
            try load.start()
            try rig.wait("no row is loaded") { try rows(of: pair, "plug-\(round)-%") > 100 }
            if !isSynchronous {
                try pair.cutStream()
                let before = try rows(of: pair)
                try rig.wait("no further row is loaded") { try rows(of: pair) > before + 100 }
            }
            let known = try rows(of: pair)
            try pair.lose(loss)
            if !isSynchronous { #expect(Int(try pair.onStandby("SELECT count(*) FROM power_logs")) ?? 0 < known) }
            try pair.promote()
            let promoted = ContinuousClock.now
            let there = try rows(of: pair)
            try rig.wait("no row is inserted after the promotion") { try rows(of: pair) > there }
            let seconds = promoted.duration(to: .now) / .seconds(1)
            print("failover: \(isSynchronous ? "synchronous" : "asynchronous"), \(loss), first row after \(seconds) s")
            try load.stop()
            try rig.wait("rows are missing") { try rows(of: pair) == load.acknowledged }
            // The receiver had a connection to the lost primary, which is not back yet.
            _ = try rig.get("/api/stats/queue") { $0.count("total_logs") == load.acknowledged }
            try pair.rejoin()
        }
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: load.acknowledged)
        try rig.wait("the standby does not follow") {
            Int(try pair.onStandby("SELECT count(*) FROM power_logs")) == load.acknowledged
        }
    }

    private func rows(of pair: StreamingPair, _ devices: String = "%") throws -> Int {
        Int(try pair.onPrimary("SELECT count(*) FROM power_logs WHERE device_id LIKE '\(devices)'")) ?? 0
    }
}

/// A client that posts batches one after another, in rounds.
private final class Load: Sendable {
    private struct State {
        var round = -1
        var isRunning = false
        var hasEnded = true
        var acknowledged = 0
    }

    private let rig: Rig
    private let state = Mutex(State())

    init(_ rig: Rig) { self.rig = rig }

    /// Readings that the receiver has acknowledged.
    var acknowledged: Int { state.withLock { $0.acknowledged } }

    func start() throws {
        let round = state.withLock { state in
            state.round += 1
            (state.isRunning, state.hasEnded) = (true, false)
            return state.round
        }
        Thread.detachNewThread { [self] in
            var number = 0
            while state.withLock({ $0.isRunning }) {
                let answer = try? rig.post(Rig.batch("plug-\(round)-\(number)", minutes: 0..<20))
                number += 1
                state.withLock { $0.acknowledged += answer?.count("inserted") ?? 0 }
            }
            state.withLock { $0.hasEnded = true }
        }
    }

    func stop() throws {
        state.withLock { $0.isRunning = false }
        try rig.wait("the client does not end") { state.withLock { $0.hasEnded } }
    }
}
