internal import CLibpq

/// A message from libpq or the server, without its line breaks and indentation.
func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).map { $0.drop(while: \.isWhitespace) }.joined(separator: "; ")
}

/// Host and port of a connection, for messages.
func serverAddress(of handle: OpaquePointer?) -> String {
    let host = PQhost(handle).map { String(cString: $0) } ?? ""
    let port = PQport(handle).map { String(cString: $0) } ?? ""
    return "\(host.isEmpty ? "local socket" : host):\(port)"
}

/// Calls `body` with a NULL-terminated list of C strings.
func withCStrings<R>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> R) -> R {
    func add(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> R {
        guard index < strings.count else { return body(pointers + [nil]) }
        return strings[index].withCString { add(index + 1, pointers + [$0]) }
    }
    return add(0, [])
}
