import Crypto
import Synchronization

/// The keys of one kind that are valid now, as digests; they may be replaced while requests come.
///
/// Several are live at once while one takes the place of another.
final class LiveKeys: Sendable {
    private let digests: Mutex<[SHA256.Digest]>

    init(_ keys: [String]) { digests = Mutex(Self.digests(of: keys)) }

    /// How many there are.
    var count: Int { digests.withLock { $0.count } }

    var isEmpty: Bool { count == 0 }

    /// Makes these the keys from now on.
    func replace(with keys: [String]) {
        let replacements = Self.digests(of: keys)
        digests.withLock { $0 = replacements }
    }

    /// Whether the key is one of them. Digests are compared, each of them and in constant time, so that the time taken
    /// says nothing about a key.
    func contain(_ key: some StringProtocol) -> Bool {
        let digest = SHA256.hash(data: Array(key.utf8))
        // swift-crypto's `==` on digests is constant-time.
        return digests.withLock { $0.reduce(false) { $0 || ($1 == digest) } }
    }

    /// Whether a key is among both.
    func overlap(_ others: LiveKeys) -> Bool {
        let theirs = others.digests.withLock { $0 }
        return digests.withLock { $0.contains(where: theirs.contains) }
    }

    private static func digests(of keys: [String]) -> [SHA256.Digest] {
        Set(keys).map { SHA256.hash(data: Array($0.utf8)) }
    }
}
