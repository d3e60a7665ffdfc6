import NIOEmbedded
import Testing

@testable import Receiver

struct StrangerTurnsTests {
    /// The requests of connections without a key get a bounded share of the event loop's time, whatever their number,
    /// and each has its turn (invariant 12).
    @Test func requestsPassInTheirOrderAtABoundedRate() {
        let eventLoop = EmbeddedEventLoop()
        let turns = StrangerTurns(eventLoop)
        var passed: [Int] = []
        for number in 0..<25 { turns.take { passed.append(number) } }
        #expect(passed == Array(0..<10))
        eventLoop.advanceTime(by: .milliseconds(9))
        #expect(passed.count == 10)
        eventLoop.advanceTime(by: .milliseconds(1))
        #expect(passed.count == 20)
        turns.take { passed.append(25) }
        #expect(passed.count == 20)
        eventLoop.advanceTime(by: .milliseconds(10))
        #expect(passed == Array(0...25))

        // No request waits any more, so the next ones pass at once.
        eventLoop.advanceTime(by: .seconds(60))
        for number in 26..<30 { turns.take { passed.append(number) } }
        #expect(passed == Array(0..<30))
    }

    @Test func aRequestSentDuringATurnWaitsForTheNextTurn() {
        let eventLoop = EmbeddedEventLoop()
        let turns = StrangerTurns(eventLoop)
        var passed = 0
        func again() {
            passed += 1
            turns.take(again)
        }
        turns.take(again)
        #expect(passed == 10)
        eventLoop.advanceTime(by: .milliseconds(10))
        #expect(passed == 20)
    }
}
