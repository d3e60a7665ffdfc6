import Testing

@testable import Postgres

@Suite struct ConnectFailureTests {
    @Test(
        arguments: [
            ("FATAL:  28P01: password authentication failed for user \"u\"", "28P01"),
            ("SCHWERWIEGEND:  3D000: Datenbank »x« existiert nicht", "3D000"),
            ("FATAL:  42704: unrecognized configuration parameter \"x\"", "42704"),
            ("FATAL:  53300: sorry, too many clients already", nil),
            ("FATAL:  57P03: the database system is starting up", nil),
            ("Connection refused", nil), ("server closed the connection unexpectedly", nil),
        ] as [(String, String?)])
    func theSQLSTATEDistinguishesSettingsFromOutages(message: String, state: String?) {
        let text =
            "connection to server at \"127.0.0.1\", port 5432 failed: \(message)\nLOCATION:  auth_failed, auth.c:328\n"
        let failure = ConnectFailure(text, needsPassword: false)
        #expect(failure.settingsState == state)
        #expect(!failure.text.contains("LOCATION") && !failure.text.contains { $0.isNewline })
        #expect(state.map { !failure.text.contains($0) } ?? true)
    }

    @Test func aSecondLineOfLibpqsMessageIsInParentheses() {
        let text =
            "connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\tIs the server running?\n"
        #expect(
            ConnectFailure(text, needsPassword: false).text
                == "connection to server at \"127.0.0.1\", port 1 failed: Connection refused (Is the server running?)")
        #expect(oneLine("a\n  b\n") == "a; b")
    }

    @Test func aMissingPasswordIsAFaultOfTheSettings() {
        #expect(ConnectFailure("fe_sendauth: no password supplied", needsPassword: true).settingsState == "28P01")
    }

    @Test(
        arguments: [
            (["host": "a"], [[]]), (["host": "a,b"], [["a", ""], ["b", ""]]),
            (["host": "a,b", "port": "1"], [["a", "1"], ["b", "1"]]),
            (["host": "a,b", "port": "1,2"], [["a", "1"], ["b", "2"]]),
            // For these libpq reports the error itself, or has a default.
            (["host": "a,b", "port": "1,2,3"], [[]]), (["host": "a,,b"], [[]]), ([:], [[]]),
        ] as [([String: String], [[String]])])
    func eachHostIsTriedSeparately(options: [String: String], expected: [[String]]) {
        let hosts = HostList(options).hosts.map { host -> [String] in
            host.isEmpty ? [] : ["host", "port"].map { name in host.first { $0.name == name }?.value ?? "" }
        }
        #expect(hosts == expected)
    }

    @Test func aStandbyIsPreferredToAllOthers() {
        let list = HostList(["host": "a,b", "target_session_attrs": "prefer-standby"])
        #expect(list.passes.map { $0.map(\.value) } == [["standby"], ["any"]])
    }
}
