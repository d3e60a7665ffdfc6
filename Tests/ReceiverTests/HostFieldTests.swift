import NIOHTTP1
import Testing

@testable import Receiver

/// `Host` according to RFC 9112, 3.2.
struct HostFieldTests {
    private func isValid(_ hosts: [String], version: HTTPVersion = .http1_1) -> Bool {
        let headers = HTTPHeaders([("Accept", "*/*")] + hosts.map { ("hOST", $0) })
        return HostField.isValid(in: HTTPRequestHead(version: version, method: .GET, uri: "/", headers: headers))
    }

    @Test(arguments: [
        "localhost", "localhost:8080", "example.com.", "127.0.0.1:1", "[::1]", "[::1]:8080", "[v1.x]", "a_b", "%C3%A4",
        "",
        "localhost:",
    ])
    func aHostIsANameOrAnAddressWithOrWithoutAPort(host: String) {
        #expect(isValid([host]))
        #expect(isValid([host], version: .http1_0))
    }

    @Test(arguments: [
        "local host", "user@host", "host/", "host:port", "host:80:80", "[::1", "::1", "[]", "[::1]8080", "ä", "a\"b",
    ])
    func otherValuesAreRefused(host: String) {
        #expect(!isValid([host]))
        #expect(!isValid([host], version: .http1_0))
    }

    @Test func exactlyOneHostIsRequired() {
        #expect(!isValid([]))
        #expect(isValid([], version: .http1_0))
        #expect(!isValid(["a", "a"]))
        #expect(!isValid(["a", "a"], version: .http1_0))
    }
}
