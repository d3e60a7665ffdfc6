import HTTPTypes

/// Who may send batches: those with a live ingest key.
struct Authentication: Sendable {
    let keys: LiveKeys

    /// Whether there is any key; without one every batch is refused.
    var isConfigured: Bool { !keys.isEmpty }

    /// Whether the request carries a live key.
    func accepts(_ request: HTTPRequest) -> Bool {
        request.headerFields[.apiKey].map(keys.contain) ?? false
    }
}

extension HTTPField.Name {
    /// `X-API-Key`
    static let apiKey = HTTPField.Name("X-API-Key")!
}
