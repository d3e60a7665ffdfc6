import NIOCore

/// How soon a connection must make room for a new one; the least goes first.
///
/// First those go that have shown no key and are idle, then the others that have shown none, then idle ones that have; among
/// equals the oldest goes first. A connection that has shown a key and is at work never goes. So nobody without a key keeps
/// a client with a key out (invariant 12).
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
