import NIOCore

/// The order in which connections are evicted for new ones; the least goes first.
///
/// Idle without a key, busy without a key, idle with a key; among equals the oldest. A busy connection with a key is never
/// evicted. So clients without a key cannot block clients with a key (invariant 12).
struct ConnectionRank: Comparable {
    private enum Group: Int {
        case idleStranger
        case stranger
        case idleClient
    }

    /// A connection that has been open for less is not idle: its first request is on its way.
    static let arrival = TimeAmount.seconds(10)

    private let group: Group
    private let since: NIODeadline

    /// nil for a connection that never makes room.
    ///
    /// - Parameter since: when it became busy or idle.
    init?(hasShownKey: Bool, isBusy: Bool, since: NIODeadline, now: NIODeadline) {
        switch (hasShownKey, isBusy) {
        case (true, true): return nil
        case (true, false): group = .idleClient
        case (false, true): group = .stranger
        case (false, false): group = now - since < Self.arrival ? .stranger : .idleStranger
        }
        self.since = since
    }

    static func < (one: ConnectionRank, other: ConnectionRank) -> Bool {
        (one.group.rawValue, one.since) < (other.group.rawValue, other.since)
    }
}
