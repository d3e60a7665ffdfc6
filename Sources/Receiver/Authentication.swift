import Crypto
import HTTPTypes

/// The ingest keys that are live, as digests.
struct Authentication: Sendable {
    private let digests: [SHA256.Digest]

    /// - Parameter keys: keys separated by commas; several are live at once while one replaces another.
    init(keys: String?) {
        digests = (keys ?? "").split(separator: ",").compactMap { key in
            let key = key.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()
            return key.isEmpty ? nil : SHA256.hash(data: Array(String(key).utf8))
        }
    }

    /// Whether there is any key; without one every batch is refused.
    var isConfigured: Bool { !digests.isEmpty }

    /// Whether the request carries a live key. Digests are compared, each of them and in constant time, so that the
    /// time taken says nothing about a key.
    func accepts(_ request: HTTPRequest) -> Bool {
        guard let name = HTTPField.Name("X-API-Key"), let key = request.headerFields[name] else { return false }
        let digest = SHA256.hash(data: Array(key.utf8))
        // swift-crypto's `==` on digests is constant-time.
        return digests.reduce(false) { $0 || ($1 == digest) }
    }
}
