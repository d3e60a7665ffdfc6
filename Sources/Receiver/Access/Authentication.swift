// Access: keys and certificates, clients' addresses, and the permission to read.
// Begin here.
// Uses HTTP, Settings, Time.

import HTTPTypes
import NIOHTTP1

/// Decides which requests may send batches: those with a live ingest key.
struct Authentication: Sendable {
    let keys: LiveKeys

    /// Whether there is any key. Without one, every batch is rejected.
    var isConfigured: Bool { !keys.isEmpty }

    /// Whether the request carries a live key.
    func accepts(_ headers: HTTPHeaders) -> Bool {
        headers.text(HTTPField.Name.apiKey.rawName).map(keys.contain) ?? false
    }
}

extension HTTPField.Name {
    /// `X-API-Key`
    static let apiKey = HTTPField.Name("X-API-Key")!
}
