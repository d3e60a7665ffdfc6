import Synchronization

/// The keys of one kind that are valid now, as digests; they may be replaced while requests come.
///
/// Several are live at once while one takes the place of another.
final class LiveKeys: Sendable {
    private let digests: Mutex<[SHA256Digest]>

    init(_ keys: [String]) { digests = Mutex(Self.digests(of: keys)) }

    /// How many there are.
    var count: Int { digests.withLock { $0.count } }

    var isEmpty: Bool { count == 0 }

    /// Makes these the keys from now on.
    func replace(with keys: [String]) {
        let replacements = Self.digests(of: keys)
        digests.withLock { $0 = replacements }
    }

    /// Whether the key is one of them.
    ///
    /// The time taken says nothing about a live key. To compute the digest takes longer for a longer `key`, whose length
    /// the client knows; a digest is as long for every key; and `key`'s is compared with all of them, each to the end.
    func contain(_ key: String) -> Bool {
        let digest = SHA256Digest(of: key)
        return digests.withLock { $0.reduce(false) { found, live in live == digest || found } }
    }

    /// Whether a key is among both.
    func overlap(_ others: LiveKeys) -> Bool {
        let theirs = others.digests.withLock { $0 }
        return digests.withLock { $0.contains(where: theirs.contains) }
    }

    private static func digests(of keys: [String]) -> [SHA256Digest] { Set(keys).map(SHA256Digest.init) }
}
