import HTTPTypes
import NIOHTTP1

/// Who may send batches: those with a live ingest key.
struct Authentication: Sendable {
    let keys: LiveKeys

    /// Whether there is any key; without one every batch is refused.
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

extension HTTPHeaders {
    /// A field's value, of several fields of the name all of them; nil when there is none.
    func text(_ name: String) -> String? {
        let values = self[name]
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }
}
