internal import CSimdjson

/// A JSON parser with one owner at a time. A document is valid until the next parse, and no longer than its text.
final class JSONParser {
    static let padding = shelly_json_padding

    enum Failure: Error {
        case invalid, memory
    }

    private var handle: OpaquePointer
    private let maximumDepth: Int

    init(maximumDepth: Int) {
        self.maximumDepth = maximumDepth
        handle = Self.create(maximumDepth)
    }

    deinit { shelly_json_parser_destroy(handle) }

    /// Parses a document, after which `padding` more bytes must be readable.
    func parse(_ text: UnsafeRawBufferPointer) throws(Failure) -> JSONValue {
        guard let bytes = text.baseAddress?.assumingMemoryBound(to: UInt8.self), !text.isEmpty else { throw .invalid }
        var document: UnsafePointer<shelly_json_document>?
        let status = shelly_json_parse(handle, bytes, text.count, &document)
        guard let document else { throw status == SHELLY_JSON_MEMORY ? .memory : .invalid }
        return JSONValue(rootOf: document)
    }

    /// Frees the buffers if a rare large document made them grow beyond `bytes`.
    func shrink(to bytes: Int) {
        guard shelly_json_parser_capacity(handle) > bytes else { return }
        shelly_json_parser_destroy(handle)
        handle = Self.create(maximumDepth)
    }

    private static func create(_ maximumDepth: Int) -> OpaquePointer {
        guard let handle = shelly_json_parser_create(maximumDepth) else { fatalError("out of memory for a parser") }
        return handle
    }
}
