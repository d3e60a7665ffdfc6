import FoundationEssentials
import HTTPTypes
import NIOCore

/// Decides which requests may read device data and operational data: the status page, the devices, the metrics.
///
/// Device data reveals who is at home. If a read key is configured, a request must carry it. If none is configured, a
/// request must come from this machine: over a loopback address, not through a proxy, and for a loopback name. So
/// neither a forgotten proxy nor a web site whose name was made to point here (DNS rebinding) gives access to others.
/// An ingest key never gives access.
struct ReadAccess: Sendable {
    let keys: LiveKeys
    let authFailures: RateLimitedLogger

    /// Admits the request, or throws the reason: 401 when a read key is configured, 403 when none is.
    func admit(_ request: HTTPRequest, from channel: any Channel) throws(Rejection) {
        guard let denial = denial(to: request, on: .init(channel)) else { return }
        authFailures.warn(
            "a read from \(channel.remoteAddress?.ipAddress ?? "?") was refused: \(denial.reason)")
        throw denial.rejection
    }

    /// The addresses of a connection.
    struct Addresses {
        /// The address on which the server listens, nil when it is not known.
        let listener: SocketAddress?
        let local: SocketAddress?
        let remote: SocketAddress?
    }

    /// Why a request is not admitted.
    enum Denial: Equatable {
        case keyMissingOrWrong
        case notOnLoopback
        case forwarded
        case foreignHost
        case crossSite
    }

    /// The reason not to admit the request; nil when there is none.
    func denial(to request: HTTPRequest, on addresses: Addresses) -> Denial? {
        guard keys.isEmpty else { return carriesKey(request) ? nil : .keyMissingOrWrong }
        guard addresses.areLoopback else { return .notOnLoopback }
        guard !request.headerFields.contains(where: { ProxyHeaders.isSign($0.name) }) else { return .forwarded }
        // A target in absolute form has a host of its own.
        guard LoopbackName.matches(request.authority), request.path?.hasPrefix("/") ?? false else {
            return .foreignHost
        }
        // A browser says so on behalf of another site's page (Fetch Metadata).
        return Self.isCrossSite(request) ? .crossSite : nil
    }

    private static func isCrossSite(_ request: HTTPRequest) -> Bool {
        HTTPField.Name("Sec-Fetch-Site").flatMap { request.headerFields[$0] }.map {
            !["same-origin", "none"].contains($0)
        }
            ?? false
    }

    private func carriesKey(_ request: HTTPRequest) -> Bool {
        var candidates = [request.headerFields[.apiKey]].compactMap { $0 }
        if let authorization = request.headerFields[.authorization] {
            candidates += Self.credential(in: authorization).map { [$0] } ?? []
        }
        return candidates.contains { keys.contain($0) }
    }

    /// The key in `Bearer KEY`, or the password in `Basic base64(user:password)`.
    private static func credential(in authorization: String) -> String? {
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let value = parts[1].drop { $0 == " " }
        switch parts[0].lowercased() {
        case "bearer": return String(value)
        case "basic":
            guard let bytes = Data(base64Encoded: String(value)), let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
            else { return nil }
            return String(decoding: bytes[bytes.index(after: colon)...], as: UTF8.self)
        default: return nil
        }
    }
}

extension ReadAccess.Denial {
    /// For the log.
    var reason: String {
        switch self {
        case .keyMissingOrWrong: "the read key is missing or wrong"
        case .notOnLoopback: "no READ_API_KEY is configured, and the connection is not on loopback"
        case .forwarded: "no READ_API_KEY is configured, and the request came through a proxy or in HTTP/1.0"
        case .foreignHost: "no READ_API_KEY is configured, and the request's Host is not localhost"
        case .crossSite: "no READ_API_KEY is configured, and a browser requests it for another web site"
        }
    }

    var rejection: Rejection {
        switch self {
        case .keyMissingOrWrong:
            var rejection = Rejection.unauthorized
            rejection.authenticate = "Basic realm=\"shelly-collector\", charset=\"UTF-8\""
            return rejection
        case .notOnLoopback:
            return Rejection(.forbidden, "Only served on loopback; set READ_API_KEY to read this from elsewhere")
        case .forwarded:
            return Rejection(
                .forbidden,
                "Not served through a proxy, nor over HTTP/1.0; set READ_API_KEY to read this from elsewhere")
        case .foreignHost:
            return Rejection(
                .forbidden,
                "Only served as localhost, 127.0.0.1 or [::1]; set READ_API_KEY to read this by another name")
        case .crossSite:
            return Rejection(
                .forbidden, "Not served to pages of other web sites; set READ_API_KEY to read this from elsewhere")
        }
    }
}

extension ReadAccess.Addresses {
    init(_ channel: any Channel) {
        self.init(
            listener: channel.parent?.localAddress, local: channel.localAddress, remote: channel.remoteAddress)
    }

    /// The remote address counts too, since a packet filter may redirect foreign packets to a loopback address.
    fileprivate var areLoopback: Bool {
        local.isLoopback && remote.isLoopback && (listener == nil || listener.isLoopback)
    }
}

extension SocketAddress? {
    fileprivate var isLoopback: Bool {
        // The text is inet_ntop(3)'s, so each address has one form.
        guard let address = self?.ipAddress else { return false }
        return address == "::1" || address.hasPrefix("127.") || address.hasPrefix("::ffff:127.")
    }
}
