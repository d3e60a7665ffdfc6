import NIOCore

/// Lets the connections of an event loop that have shown no key send their next requests in turn, so many in a second.
///
/// Without it, thousands of such connections that send one request after the other would take all of the event loop's
/// time, and a client with a key would wait behind all of them. The first request of a connection waits for no turn, as
/// it may show a key.
final class StrangerTurns {
    private static let tick = TimeAmount.milliseconds(10)
    /// 1,000 in a second.
    private static let turnsPerTick = 10

    private let eventLoop: any EventLoop
    private var tickEnd = NIODeadline.uptimeNanoseconds(0)
    private var turns = 0
    private var waiting = CircularBuffer<() -> Void>()

    /// Belongs to the event loop: call it there alone.
    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Calls `pass`, now or when the turn comes.
    func take(_ pass: @escaping () -> Void) {
        if waiting.isEmpty, isFree() { return pass() }
        waiting.append(pass)
        if waiting.count == 1 { schedule() }
    }

    private func isFree() -> Bool {
        let now = eventLoop.now
        if now >= tickEnd { (tickEnd, turns) = (now + Self.tick, 0) }
        turns += 1
        return turns <= Self.turnsPerTick
    }

    private func schedule() {
        eventLoop.assumeIsolated().scheduleTask(deadline: tickEnd) {
            while !self.waiting.isEmpty, self.isFree() { self.waiting.removeFirst()() }
            if !self.waiting.isEmpty { self.schedule() }
        }
    }
}
