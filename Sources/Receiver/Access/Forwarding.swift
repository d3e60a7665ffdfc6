import HTTPTypes

/// The header fields by which proxies, tunnels and content delivery networks say that a request is somebody else's.
enum Forwarding {
    private static let names: Set<String> = [
        "forwarded", "via", "cdn-loop", "client-ip", "true-client-ip", "x-real-ip", "x-client-ip",
        "x-cluster-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr", "x-proxyuser-ip", "x-host",
        "x-scheme", "x-url-scheme", "x-forwarded", "x-amzn-trace-id", "x-cloud-trace-context",
        // HTTP/1.0 (ProtocolVersionMark).
        "x-http-version",
        // A second one; the first is no field of its own any more.
        "host",
    ]

    private static let prefixes = [
        "x-forwarded-", "x-original-", "x-envoy-", "x-azure-", "x-appengine-", "x-vercel-", "x-nf-", "x-arr-", "cf-",
        "fastly-", "fly-", "tailscale-",
    ]

    /// Whether a field of this name says so.
    static func isSign(_ name: HTTPField.Name) -> Bool {
        let name = name.canonicalName
        return names.contains(name) || prefixes.contains(where: name.hasPrefix)
    }
}
