import Testing

@testable import Postgres

@Suite struct ConnectFailureTests {
    @Test(
        arguments: [
            ("FATAL:  28P01: password authentication failed for user \"u\"", "28P01"),
            ("SCHWERWIEGEND:  3D000: Datenbank »x« existiert nicht", "3D000"),
            ("FATAL:  42704: unrecognized configuration parameter \"x\"", "42704"),
            ("FATAL:  53300: sorry, too many clients already", nil),
            // PgBouncer 1.18 to 1.25.
            ("FATAL:  08P01: password authentication failed", "08P01"),
            ("FATAL:  08P01: SASL authentication failed", "08P01"),
            ("FATAL:  08P01: no such database: x", "08P01"), ("FATAL:  08P01: no such user", "08P01"),
            ("FATAL:  08P01: unsupported startup parameter: options", "08P01"),
            ("FATAL:  08P01: SSL required", "08P01"),
            ("FATAL:  08P01: server login has been failing, try again later (server_login_retry)", nil),
            ("FATAL:  08P01: pgbouncer cannot connect to server", nil),
            (
                "FATAL:  08P01: server login has been failing, cached error: remaining connection slots are reserved for roles",
                nil
            ),
            ("FATAL:  08P01: client_login_timeout (server down)", nil), ("FATAL:  08P01: query_wait_timeout", nil),
            ("FATAL:  08P01: no more connections allowed (max_client_conn)", nil),
            ("FATAL:  08P01: client connections exceeded (max_db_client_connections)", nil),
            ("FATAL:  08P01: pooler is shutting down", nil), ("FATAL:  08P01: server conn crashed?", nil),
            // Supavisor, before and after its errors had codes.
            ("FATAL:  XX000: Tenant or user not found", "XX000"),
            ("FATAL:  XX000: (ENOTFOUND) tenant/user u.t not found", "XX000"),
            ("FATAL:  XX000: Max client connections reached", nil),
            ("FATAL:  XX000: (ECHECKOUTTIMEOUT) unable to check out connection from the pool after 60000ms", nil),
            ("FATAL:  XX000: could not open relation mapping file \"global/pg_filenode.map\"", nil),
            ("FATAL:  57P03: the database system is starting up", nil),
            // libpq itself.
            ("server does not support SSL, but SSL was required", "08001"),
            ("root certificate file \"/x\" does not exist\nEither provide the file or change sslmode.", "08001"),
            ("SSL error: certificate verify failed", "08001"), ("SSL error: tlsv1 alert unknown ca", "08001"),
            ("server certificate for \"a\" does not match host name \"b\"", "08001"),
            ("private key file \"/x\" has group or world access", "08001"),
            ("channel binding required, but SSL not in use", "08001"),
            ("SSL error: unexpected eof while reading", nil), ("SSL SYSCALL error: EOF detected", nil),
            ("server sent an error response during SSL exchange", nil),
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
            (["host": "a"], [["a", ""]]), (["host": "a,b"], [["a", ""], ["b", ""]]),
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

    /// An address, a socket's directory and a name without an address are libpq's.
    @Test(arguments: [
        [("host", "127.0.0.1")], [("host", "::1")], [("host", "/tmp")], [("host", "no-such-host.invalid")],
        [("host", "localhost"), ("hostaddr", "127.0.0.1")], [], [("hostaddr", "127.0.0.1"), ("port", "1")],
    ])
    func aHostWithOneAddressStaysAsItIs(host: HostList.Host) {
        let found = HostList(["host": "db"]).addresses(of: host)
        #expect(found.count == 1 && found[0].map { [$0.name, $0.value] } == host.map { [$0.0, $0.1] })
    }

    @Test func aStandbyIsPreferredToAllOthers() {
        let list = HostList(["host": "a,b", "target_session_attrs": "prefer-standby"])
        #expect(list.passes.map { $0.map(\.value) } == [["standby"], ["any"]])
    }
}
