/// The HTTP interface as an OpenAPI 3.1 document.
enum OpenAPI {
    static let document = "{}"
}
