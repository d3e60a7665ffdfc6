/// libpq's message about a connection that failed, in its verbose form.
///
/// libpq reports no SQLSTATE while it connects, except in this form:
///
///     connection to server at "127.0.0.1", port 5432 failed: FATAL:  28P01: password authentication failed for user "u"
///     LOCATION:  auth_failed, auth.c:328
struct ConnectFailure {
    /// The message in one line, without the SQLSTATE and the place in the server's source.
    let text: String
    /// The SQLSTATE, if the server or a pooler refused the connection because of a setting, or libpq itself because of
    /// one of TLS: 08001. Waiting does not fix it.
    let settingsState: String?

    /// Classes of a server that is starting, stopping, full or ill, and may accept the same connection later.
    private static let temporaryClasses = ["08", "53", "55", "57", "58", "XX"]
    /// Parts of PgBouncer's texts about a server that is away, or a pooler that is full or stopping
    /// (its client.c, janitor.c and objects.c). All other refusals of a start are about a setting, with the same state.
    private static let temporaryInPgBouncer = [
        "server_login_retry", "timeout", "connections", "shutting down", "is disabled", "admin forced disconnect",
        "crashed", "connect failed", "cannot connect to server", "login has been failing", "connection slots",
        "DNS lookup failed", "pause failed", "memory", "exhaustion",
    ]
    /// Parts of the texts about a setting of Supavisor, the pooler of Supabase, old and new (its lib/supavisor/errors).
    /// It has the same state for a pool that is full and for a database that is away.
    private static let settingsInSupavisor = [
        "Tenant or user not found", "tenant/user", "no tenant identifier", "Invalid format for user", "user not found",
        "connection is required", "allow_list", "is banned",
    ]
    /// Parts of libpq's own messages about settings of TLS and of the server's authentication. They are in English, since
    /// no program of ours sets a locale.
    private static let settingsInLibpq = [
        "SSL was required", "root certificate", "certificate verify failed", "does not match host name",
        "host name must be specified", "certificate file", "private key file", "unsupported protocol",
        "alert protocol version", "alert handshake failure", "alert unknown ca", "alert certificate",
        "alert bad certificate", "channel binding", "GSSAPI encryption", "authentication method",
        "authentication mechanisms", "requirepeer",
    ]

    /// - Parameter needsPassword: whether the server asked for a password and there is none, of which libpq has no
    ///   SQLSTATE.
    init(_ message: String, needsPassword: Bool) {
        var refusal: (state: String, message: Substring)?
        let lines = message.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("LOCATION:") }.map {
            (line) -> String in
            // The severity before it is in the server's language.
            guard let colon = line.firstRange(of: ":  ") else { return String(line) }
            let rest = line[colon.upperBound...]
            let code = rest.prefix { $0.isASCII && ($0.isNumber || $0.isUppercase) }
            guard code.count == 5, rest[code.endIndex...].hasPrefix(": ") else { return String(line) }
            let message = rest[code.endIndex...].dropFirst(2)
            refusal = refusal ?? (String(code), message)
            return String(line[..<colon.upperBound] + message)
        }
        text = oneLine(lines.joined(separator: "\n"))
        if let refusal {
            settingsState = Self.isSetting(refusal.state, refusal.message) ? refusal.state : nil
        } else {
            let isSetting = Self.settingsInLibpq.contains { message.contains($0) }
            settingsState = needsPassword ? "28P01" : isSetting ? "08001" : nil
        }
    }

    private static func isSetting(_ state: String, _ message: Substring) -> Bool {
        switch state {
        case "08P01": !temporaryInPgBouncer.contains { message.contains($0) }
        case "XX000": settingsInSupavisor.contains { message.contains($0) }
        default: !temporaryClasses.contains(String(state.prefix(2)))
        }
    }
}
