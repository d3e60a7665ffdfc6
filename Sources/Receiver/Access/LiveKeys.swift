import Synchronization

/// The valid keys of one kind, as digests; they may be replaced while requests arrive.
///
/// Several keys are live at once while one replaces another.
final class LiveKeys: Sendable {
    private let digests: Mutex<[SHA256Digest]>

    init(_ keys: [String]) { digests = Mutex(Self.digests(of: keys)) }

    /// The number of keys.
    var count: Int { digests.withLock { $0.count } }

    var isEmpty: Bool { count == 0 }

    /// Replaces the keys.
    func replace(with keys: [String]) {
        let replacements = Self.digests(of: keys)
        digests.withLock { $0 = replacements }
    }

    /// Whether the key is one of them.
    ///
    /// The time taken reveals nothing about a live key. Computing the digest takes longer for a longer `key`, but the
    /// client knows that length. All digests have the same length, and the digest of `key` is compared with all of
    /// them, each to the end.
    func contain(_ key: String) -> Bool {
        let digest = SHA256Digest(of: key)
        return digests.withLock { $0.reduce(false) { found, live in live == digest || found } }
    }

    /// Whether both have a key in common.
    func overlap(_ others: LiveKeys) -> Bool {
        let theirs = others.digests.withLock { $0 }
        return digests.withLock { $0.contains(where: theirs.contains) }
    }

    private static func digests(of keys: [String]) -> [SHA256Digest] { Array(Set(keys.map(SHA256Digest.init))) }
}
