import HTTPTypes

/// The header fields by which proxies, tunnels and content delivery networks mark a forwarded request.
enum ProxyHeaders {
    /// The field that `ProtocolVersionMark` adds to a request of another version than HTTP/1.1.
    static let protocolVersion = "x-http-version"

    private static let names: Set<String> = [
        "forwarded", "via", "cdn-loop", "client-ip", "true-client-ip", "x-real-ip", "x-client-ip",
        "x-cluster-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr", "x-proxyuser-ip", "x-host",
        "x-scheme", "x-url-scheme", "x-forwarded", "x-amzn-trace-id", "x-cloud-trace-context", "x-request-id",
        "forwarded-for", "proxy-client-ip", "proxy-connection", "do-connecting-ip",
        protocolVersion,
        // A second Host field; the first one is no longer a header field.
        "host",
    ]

    private static let prefixes = [
        "x-forwarded-", "x-original-", "x-envoy-", "x-azure-", "x-appengine-", "x-vercel-", "x-nf-", "x-arr-", "cf-",
        "fastly-", "fly-", "tailscale-", "wl-proxy-", "ngrok-",
    ]

    /// Whether a field of this name marks a forwarded request.
    static func isSign(_ name: HTTPField.Name) -> Bool {
        let name = name.canonicalName
        return names.contains(name) || prefixes.contains(where: name.hasPrefix)
    }
}
