// Access: keys and certificates, clients' addresses, and the permission to read.
// Begin with Authentication.swift.
// Uses HTTP, Settings.

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

extension HTTPHeaders {
    /// A field's value; several fields of the same name are joined. nil when there is none.
    func text(_ name: String) -> String? {
        let values = self[name].map(\.withoutOuterSpace)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }
}

extension String {
    /// Without the spaces and tabs around it, which are no part of a field's value (RFC 9110, 5.5).
    fileprivate var withoutOuterSpace: Substring {
        let isSpace = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var value = self[...]
        while let first = value.utf8.first, isSpace(first) { value = value.dropFirst() }
        while let last = value.utf8.last, isSpace(last) { value = value.dropLast() }
        return value
    }
}
