import HTTPTypes
import Logging
import NIOCore
import Testing

@testable import Receiver

/// The permission to read device data, as a table of requests.
struct ReadAccessTests {
    private func denial(
        keys: [String] = [], host: String? = "localhost:8080", path: String = "/metrics",
        headers: [(String, String)] = [],
        listener: String? = "127.0.0.1", local: String = "127.0.0.1", remote: String = "127.0.0.1"
    ) throws -> ReadAccess.Denial? {
        var request = HTTPRequest(method: .get, scheme: "http", authority: host, path: path)
        for (name, value) in headers {
            request.headerFields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
        }
        let access = ReadAccess(keys: LiveKeys(keys), authFailures: RateLimitedLogger(Logger(label: "test")))
        return access.denial(
            to: request,
            on: .init(
                listener: try listener.map { try SocketAddress(ipAddress: $0, port: 8080) },
                local: try SocketAddress(ipAddress: local, port: 8080),
                remote: try SocketAddress(ipAddress: remote, port: 40_000)))
    }

    @Test(arguments: [
        "localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.0.0.1:1", "127.255.0.9:8080", "[::1]",
        "[::1]:8080",
    ])
    func withoutAReadKeyLoopbackMayRead(host: String) throws {
        #expect(try denial(host: host) == nil)
        #expect(try denial(host: host, listener: "::1", local: "::1", remote: "::1") == nil)
    }

    @Test(arguments: [
        "", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.0.0.1.evil.example:8080", "128.0.0.1", "10.0.0.1", "127.1", "127.0.0.01", "127.0.0.256", "127.0.0.+1",
        "0.0.0.0", "[::]", "[::1", "::1", "[::2]", "localhost:", "localhost:8080:1", "localhost:x", "user@localhost",
        "localhost@evil.example", "localhost/", "localhost,evil.example", "local host", "xn--localhost",
    ])
    func aForeignHostNameIsRefused(host: String) throws {
        #expect(try denial(host: host) == .foreignHost)
    }

    @Test func aRequestFromAnotherSitesPageIsRefused() throws {
        #expect(try denial(headers: [("Sec-Fetch-Site", "cross-site")]) == .crossSite)
        #expect(try denial(headers: [("Sec-Fetch-Site", "same-site")]) == .crossSite)
        #expect(try denial(headers: [("Sec-Fetch-Site", "same-origin")]) == nil)
        #expect(try denial(headers: [("Sec-Fetch-Site", "none")]) == nil)
    }

    @Test func aTargetInAbsoluteFormIsRefused() throws {
        #expect(try denial(path: "http://evil.example/api/devices") == .foreignHost)
    }

    @Test func aMissingOrRepeatedHostIsRefused() throws {
        #expect(try denial(host: nil) == .foreignHost)
        #expect(try denial(headers: [("Host", "localhost")]) == .forwarded)
    }

    @Test(arguments: [
        "Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-FORWARDED-PROTO", "X-Forwarded", "X-Forwarded-Anything",
        "X-Real-IP", "Via", "CF-Connecting-IP", "CF-Ray", "CDN-Loop", "True-Client-IP", "X-Client-IP",
        "X-Cluster-Client-IP", "Fly-Client-IP", "Fastly-Client-IP", "X-Original-For", "X-Original-Host",
        "X-Envoy-External-Address", "Tailscale-User-Login", "X-Azure-ClientIP", "X-Amzn-Trace-Id",
        "Forwarded-For", "WL-Proxy-Client-IP", "Do-Connecting-IP", "Proxy-Connection", "X-Request-ID",
        "Ngrok-Auth-User",
    ])
    func aRequestThroughAProxyIsRefused(name: String) throws {
        for value in ["", "127.0.0.1", "for=127.0.0.1", "\u{FF}"] {
            #expect(try denial(headers: [("Accept", "*/*"), (name, value)]) == .forwarded)
        }
    }

    @Test(arguments: [
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"), ("::", "::1", "::1"), ("::", "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("192.168.1.2", "192.168.1.2", "192.168.1.2"), ("127.0.0.1", "127.0.0.1", "192.168.1.3"),
        ("0.0.0.0", "192.168.1.2", "127.0.0.1"), ("::1", "fe80::1", "fe80::1"),
        ("127.0.0.1", "192.168.1.2", "127.0.0.1"),
    ])
    func connectionsBeyondLoopbackAreRefused(listener: String, local: String, remote: String) throws {
        #expect(try denial(listener: listener, local: local, remote: remote) == .notOnLoopback)
    }

    @Test func aLoopbackListenerOfEitherFamilyIsAccepted() throws {
        #expect(try denial(listener: nil) == nil)
        let mapped = "::ffff:127.0.0.1"
        #expect(try denial(listener: mapped, local: mapped, remote: mapped) == nil)
    }

    // "user:one", ":one", "one:two:one" and "one". The password begins after the first colon.
    @Test(arguments: [
        ("X-API-Key", "one", true), ("x-api-key", "two", true), ("X-API-Key", "three", false), ("X-API-Key", "", false),
        ("X-API-Key", "one,two", false), ("X-API-Key", "One", false), ("X-API-Key", " one ", true),
        ("Authorization", "Bearer one", true), ("Authorization", "bearer  two", true), ("Authorization", "one", false),
        ("Authorization", "Bearer", false), ("Authorization", "Bearer ", false),
        ("Authorization", "Bearer one two", false),
        ("Authorization", "Basic dXNlcjpvbmU=", true), ("Authorization", "BASIC Om9uZQ==", true),
        ("Authorization", "Basic b25lOnR3bzpvbmU=", false), ("Authorization", "Basic b25l", false),
        ("Authorization", "Basic !!!!", false), ("Authorization", "Basic ", false), ("Authorization", "Basic", false),
        ("Authorization", "Digest one", false), ("Cookie", "X-API-Key=one", false),
    ])
    func oneOfTheReadKeysIsRequired(name: String, value: String, opens: Bool) throws {
        let expected: ReadAccess.Denial? = opens ? nil : .keyMissingOrWrong
        #expect(try denial(keys: ["one", "two"], headers: [(name, value)]) == expected)
        // From any address, with any host name and through any proxy.
        #expect(
            try denial(
                keys: ["one", "two"], host: "shelly.example", headers: [("Via", "1.1 proxy"), (name, value)],
                listener: "0.0.0.0", local: "10.0.0.1", remote: "10.0.0.2") == expected)
    }

    @Test func aRightKeyBesideAWrongOneIsAccepted() throws {
        let headers = [("X-API-Key", "wrong"), ("Authorization", "Bearer one")]
        #expect(try denial(keys: ["one"], headers: headers) == nil)
    }

    @Test func loopbackDoesNotReplaceTheKey() throws {
        #expect(try denial(keys: ["one"]) == .keyMissingOrWrong)
    }

    @Test func refusalsNameTheFix() {
        let unauthorized = ReadAccess.Denial.keyMissingOrWrong.rejection.response
        #expect(unauthorized.status == .unauthorized)
        #expect(
            unauthorized.headers[.wwwAuthenticate] == #"Basic realm="shelly-collector", charset="UTF-8""#)
        for denial in [ReadAccess.Denial.notOnLoopback, .forwarded, .foreignHost, .crossSite] {
            #expect(denial.rejection.response.status == .forbidden)
            #expect(denial.rejection.json.text.contains("READ_API_KEY"))
        }
    }

    @Test func replacedKeysApplyAtOnce() {
        let keys = LiveKeys(["old", "old"])
        #expect(keys.count == 1 && keys.contain("old") && !keys.contain("new"))
        keys.replace(with: ["old", "new"])
        #expect(keys.count == 2 && keys.contain("old") && keys.contain("new"))
        keys.replace(with: ["new"])
        #expect(!keys.contain("old") && keys.contain("new"))
        // The two texts look the same and have different bytes: each is a key.
        keys.replace(with: ["caf\u{E9}", "cafe\u{301}"])
        #expect(keys.count == 2 && keys.contain("caf\u{E9}") && keys.contain("cafe\u{301}"))
    }
}
