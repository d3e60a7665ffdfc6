/// Variables that say where a service is, which an orchestrator sets in each container.
///
/// For a Service named `ingest`, Kubernetes sets `INGEST_SERVICE_HOST`, `INGEST_SERVICE_PORT`, `INGEST_SERVICE_PORT_HTTP` for a
/// port with a name, `INGEST_PORT=tcp://10.0.0.1:8080`, `INGEST_PORT_8080_TCP` and the latter with `_PROTO`, `_PORT` and
/// `_ADDR`. All but those with `SERVICE` come from Docker's links.
enum ServiceLink {
    private static let protocols = ["TCP", "UDP", "SCTP"]
    private static let details = ["PROTO", "PORT", "ADDR"]

    /// Whether a variable with this name and value is one of them.
    static func describes(_ name: String, _ value: String) -> Bool {
        if name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
            return true
        }
        if name.hasSuffix("_PORT"), value.contains("://") { return true }
        var words = name.split(separator: "_")
        if let last = words.last, details.contains(String(last)) { words.removeLast() }
        guard words.count > 3, words[words.count - 3] == "PORT" else { return false }
        return Int(words[words.count - 2]) != nil && protocols.contains(String(words[words.count - 1]))
    }
}
