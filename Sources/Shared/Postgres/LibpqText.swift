internal import CLibpq

/// A message from libpq or the server, without its line breaks and indentation. A line that is a question, such as libpq's
/// `Is the server running on that host …?`, is in brackets, as more text may follow.
func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).map { $0.drop(while: \.isWhitespace) }.reduce("") { line, part in
        line.isEmpty ? String(part) : line + (part.hasSuffix("?") ? " (\(part))" : "; \(part)")
    }
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
