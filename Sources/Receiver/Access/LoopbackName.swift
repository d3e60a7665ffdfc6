/// The names by which this machine addresses itself in a `Host` header: `localhost`, `127.0.0.1:8080`, `[::1]`.
enum LoopbackName {
    /// Whether the authority is such a name, with or without a port. A missing authority is not.
    static func matches(_ authority: String?) -> Bool {
        guard let authority else { return false }
        var host = authority.lowercased()[...]
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            let port = host[host.index(after: colon)...]
            guard !port.isEmpty, port.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
            else { return false }
            host = host[..<colon]
        }
        return host == "localhost" || host == "localhost." || host == "[::1]" || isLoopbackV4(host)
    }

    /// Whether the host is four decimal numbers, the first of them 127; a name that needs a resolver is not.
    private static func isLoopbackV4(_ host: Substring) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127"
            && parts.allSatisfy { part in UInt8(part).map { String($0) == part } ?? false }
    }
}
