import Testing

@testable import Commit

/// The decisions of group commit, as tables of events and their outcomes; no threads, no disk, no waiting.
struct CommitQueueTests {
    private typealias Queue = CommitQueue<String, String>

    /// The events of the queue, as the rows of a table name them.
    private enum Event {
        case batch(String, bytes: Int = 10)
        case query(String)
        case stop
        case next
        case synchronized
        case completed(Int)
        case rested(rotation: Int?)
        case piece(room: Int)
        case pieceWritten
        case rang
        case ended
    }

    /// Feeds a queue with the rows of a table: the time in seconds, the event, and its expected outcome as text.
    private func expect(
        _ rows: [(at: Int, Event, String)], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var queue = Queue(.init(timeout: .seconds(20), aheadBytes: 100, pieceBytes: 200, queries: 2))
        let start = ContinuousClock.now
        for (index, (seconds, event, expected)) in rows.enumerated() {
            let outcome = handle(event, &queue, at: start + .seconds(seconds), since: start)
            #expect(outcome == expected, "row \(index): \(event)", sourceLocation: sourceLocation)
        }
    }

    private func handle(
        _ event: Event, _ queue: inout Queue, at now: Queue.Instant, since start: Queue.Instant
    ) -> String {
        func text(_ wake: Queue.Wake?) -> String {
            guard let wake else { return "refused" }
            let parts = [
                wake.commit ? "wake commit" : nil, wake.ahead ? "wake ahead" : nil,
                wake.timer.map { "ring at \(start.duration(to: $0).components.seconds)" },
            ]
            return parts.compactMap { $0 }.joined(separator: ", ")
        }
        switch event {
        case .batch(let name, let bytes): return text(queue.arrived(name, bytes: bytes, at: now))
        case .query(let name): return text(queue.arrived(name, deadline: now + .seconds(1)))
        case .stop: return text(queue.stop())
        case .next:
            switch queue.next() {
            case .work(let query, let batches):
                return (query.map { ["answer \($0)"] } ?? []).joined() + "write \(batches.joined(separator: " "))"
            case .synchronize(let wake): return ["synchronize", text(wake)].filter { $0 != "" }.joined(separator: ", ")
            case .rest: return "rest"
            case .end: return "end"
            }
        case .synchronized: return queue.synchronized() ? "await piece" : ""
        case .completed(let count): return queue.completed(count).map { $0 ?? "-" }.joined(separator: " ")
        case .rested(let rotation): return text(queue.rested(until: rotation.map { start + .seconds($0) }))
        case .piece(let room): return queue.nextPiece(within: room)?.joined(separator: " ") ?? "none"
        case .pieceWritten: return text(queue.pieceWritten())
        case .rang:
            let (batches, queries, wake) = queue.rang(at: now)
            return "late: " + (batches + queries).joined(separator: " ") + (queue.isStalled ? "; stalled" : "")
                + (text(wake) == "" ? "" : "; " + text(wake))
        case .ended: return queue.ended().joined(separator: " ")
        }
    }

    @Test func batchesDuringASyncFormTheNextGroup() {
        expect([
            (0, .next, "rest"),
            (0, .rested(rotation: nil), ""),
            (0, .batch("a"), "wake commit, ring at 20"),
            (0, .batch("b"), ""),
            (0, .next, "write a b"),
            (0, .batch("c"), ""),
            (0, .next, "synchronize"),
            (0, .batch("d"), ""),
            (1, .synchronized, ""),
            (1, .completed(2), "a b"),
            (1, .next, "write c d"),
            (1, .next, "synchronize"),
            (2, .synchronized, ""),
            (2, .completed(2), "c d"),
            (2, .next, "rest"),
        ])
    }

    @Test func queuedBatchesAreWrittenAheadInPieces() {
        expect([
            (0, .batch("a"), "ring at 20"),
            (0, .next, "write a"),
            (0, .batch("b", bytes: 90), ""),
            (0, .next, "synchronize"),
            (0, .batch("c", bytes: 90), "wake ahead"),
            (0, .batch("d", bytes: 90), ""),
            (0, .batch("e", bytes: 90), ""),
            // About 200 bytes, in whole batches.
            (0, .piece(room: 1000), "b c d"),
            // The ahead thread uses the ledger and the writer until its piece is written.
            (1, .synchronized, "await piece"),
            (1, .pieceWritten, "wake commit"),
            // The ahead thread is awake, but "e" alone is too small for a piece.
            (1, .piece(room: 1000), "none"),
            (1, .completed(1), "a"),
            (1, .next, "synchronize"),
            (1, .batch("f", bytes: 90), "wake ahead"),
            (1, .piece(room: 1000), "e f"),
            (1, .pieceWritten, ""),
            (1, .piece(room: 1000), "none"),
            (2, .synchronized, ""),
            (2, .completed(5), "b c d e f"),
            (2, .next, "rest"),
        ])
    }

    /// The commit thread wakes the ahead thread itself if enough bytes have arrived while it wrote.
    @Test func aSyncWakesTheAheadThreadForQueuedBatches() {
        expect([
            (0, .batch("a"), "ring at 20"),
            (0, .next, "write a"),
            (0, .batch("b", bytes: 100), ""),
            (0, .next, "synchronize, wake ahead"),
            (0, .batch("c", bytes: 100), ""),
            (0, .piece(room: 1000), "b c"),
        ])
    }

    @Test func withoutRoomTheAheadThreadIsNotWokenAgainInTheSameSync() {
        for room in [0, 99] {
            expect([
                (0, .batch("a"), "ring at 20"),
                (0, .next, "write a"),
                (0, .batch("b", bytes: 100), ""),
                (0, .next, "synchronize, wake ahead"),
                (0, .piece(room: room), "none"),
                (0, .batch("c", bytes: 100), ""),
                (0, .synchronized, ""),
                (0, .completed(1), "a"),
                (0, .next, "write b c"),
                (0, .batch("d", bytes: 100), ""),
                (0, .next, "synchronize, wake ahead"),
            ])
        }
    }

    /// Whether the sync succeeds or fails, a piece that was taken during it is written before its batches are complete.
    @Test func aSyncIsCompleteAfterThePieceTakenDuringIt() {
        expect([
            (0, .batch("a"), "ring at 20"),
            (0, .next, "write a"),
            (0, .batch("b", bytes: 100), ""),
            (0, .next, "synchronize, wake ahead"),
            (0, .piece(room: 1000), "b"),
            (0, .synchronized, "await piece"),
            // A further piece would have to wait for the next sync.
            (0, .batch("c", bytes: 100), ""),
            (0, .pieceWritten, "wake commit"),
            (0, .piece(room: 1000), "none"),
            (0, .completed(1), "a"),
            (0, .next, "synchronize, wake ahead"),
            (0, .synchronized, ""),
            (0, .completed(1), "b"),
        ])
    }

    @Test func oneQueryIsAnsweredBetweenTwoGroups() {
        expect([
            (0, .batch("a"), "ring at 20"),
            (0, .next, "write a"),
            (0, .next, "synchronize"),
            // The timer rings earlier for a query's second.
            (0, .query("q"), "ring at 1"),
            (0, .query("r"), ""),
            (0, .query("s"), "refused"),
            // A query needs every group to be complete, so nothing is written ahead.
            (0, .batch("b", bytes: 100), ""),
            (0, .piece(room: 1000), "none"),
            (0, .synchronized, ""),
            (0, .completed(1), "a"),
            (0, .next, "answer qwrite b"),
            (0, .next, "synchronize"),
            (0, .synchronized, ""),
            (0, .completed(1), "b"),
            (0, .next, "answer rwrite "),
            (0, .next, "rest"),
            (0, .query("t"), "wake commit"),
            (0, .next, "answer twrite "),
        ])
    }

    /// Invariant 11: every wait ends, and nothing is written behind a group that has timed out on the disk.
    @Test func theTimerFailsBatchesAndQueriesThatTimeOut() {
        expect([
            (0, .batch("a"), "ring at 20"),
            (0, .next, "write a"),
            (5, .query("q"), "ring at 6"),
            (5, .batch("b"), ""),
            (5, .next, "synchronize"),
            (6, .rang, "late: q; ring at 20"),
            (19, .batch("c", bytes: 100), "wake ahead"),
            // A ring that was requested before an earlier one has no effect.
            (19, .rang, "late: "),
            (20, .rang, "late: a; stalled; ring at 25"),
            (20, .piece(room: 1000), "none"),
            (25, .rang, "late: b; stalled; ring at 39"),
            // The disk continues. "a" has been answered already.
            (26, .synchronized, ""),
            (26, .completed(1), "-"),
            (26, .next, "write c"),
            (26, .next, "synchronize"),
            (26, .synchronized, ""),
            (26, .completed(1), "c"),
            (39, .rang, "late: "),
            (40, .batch("d"), "ring at 60"),
        ])
    }

    /// The disk counts as stalled until every group with a timed-out batch is complete.
    @Test func theQueueIsStalledUntilEveryTimedOutBatchIsComplete() {
        var queue = Queue(.init(timeout: .seconds(20), aheadBytes: 100))
        let start = ContinuousClock.now
        _ = queue.arrived("a", bytes: 10, at: start)
        _ = queue.next()
        _ = queue.next()
        _ = queue.arrived("b", bytes: 100, at: start)
        _ = queue.nextPiece(within: 1000)
        _ = queue.pieceWritten()
        #expect(queue.rang(at: start + .seconds(20)).batches == ["a", "b"])
        #expect(queue.synchronized() == false)
        #expect(queue.completed(1) == [nil])
        #expect(queue.isStalled)
        _ = queue.next()
        #expect(queue.synchronized() == false)
        #expect(queue.completed(1) == [nil])
        #expect(!queue.isStalled)
    }

    @Test func theTimerWakesTheCommitThreadForARotation() {
        expect([
            (0, .next, "rest"),
            (0, .rested(rotation: 3600), "ring at 3600"),
            (10, .batch("a"), "wake commit, ring at 30"),
            (10, .next, "write a"),
            (10, .next, "synchronize"),
            (11, .synchronized, ""),
            (11, .completed(1), "a"),
            (11, .next, "rest"),
            (11, .rested(rotation: 3600), ""),
            (30, .rang, "late: ; ring at 3600"),
            (3600, .rang, "late: ; wake commit"),
            (3600, .next, "rest"),
            (3600, .rested(rotation: nil), ""),
        ])
    }

    @Test func aStopCompletesQueuedBatchesAndRefusesLaterOnes() {
        expect([
            (0, .batch("a"), "ring at 20"),
            (0, .next, "write a"),
            (0, .next, "synchronize"),
            (0, .batch("b"), ""),
            (0, .query("q"), "ring at 1"),
            (0, .stop, ""),
            (0, .batch("c"), "refused"),
            (0, .query("r"), "refused"),
            (0, .synchronized, ""),
            (0, .completed(1), "a"),
            (0, .next, "answer qwrite b"),
            (0, .next, "synchronize"),
            (0, .synchronized, ""),
            (0, .completed(1), "b"),
            (0, .next, "end"),
            (0, .ended, ""),
        ])
        expect([
            (0, .next, "rest"),
            (0, .stop, "wake commit"),
            (0, .next, "end"),
        ])
    }

    @Test func aStreamOfBatchesNeedsFewTimers() {
        var queue = Queue(.init(timeout: .seconds(20)))
        let start = ContinuousClock.now
        var rings = 0
        // One batch each 10 ms for a minute, each complete at once.
        for step in 0..<6000 {
            let now = start + .milliseconds(10 * step)
            let wake = queue.arrived("a", bytes: 1, at: now)
            if wake?.timer != nil { rings += 1 }
            _ = queue.next()
            _ = queue.next()
            _ = queue.synchronized()
            _ = queue.completed(1)
            if queue.rang(at: now).wake.timer != nil { rings += 1 }
        }
        #expect(rings <= 4)
    }
}
