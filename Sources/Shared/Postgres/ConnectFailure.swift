/// libpq's message about a connection that failed, in its verbose form.
///
/// libpq reports no SQLSTATE while it connects, except in this form:
///
///     connection to server at "127.0.0.1", port 5432 failed: FATAL:  28P01: password authentication failed for user "u"
///     LOCATION:  auth_failed, auth.c:328
struct ConnectFailure {
    /// The message in one line, without the SQLSTATE and the place in the server's source.
    let text: String
    /// The SQLSTATE, if the server refused the connection because of a setting. Waiting does not fix it.
    let settingsState: String?

    /// Classes of a server that is starting, stopping, full or ill, and may accept the same connection later.
    private static let temporaryClasses = ["08", "53", "55", "57", "58", "XX"]

    /// - Parameter needsPassword: whether the server asked for a password and there is none, of which libpq has no
    ///   SQLSTATE.
    init(_ message: String, needsPassword: Bool) {
        var state: String?
        let lines = message.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("LOCATION:") }.map {
            (line) -> String in
            // The severity before it is in the server's language.
            guard let colon = line.firstRange(of: ":  ") else { return String(line) }
            let rest = line[colon.upperBound...]
            let code = rest.prefix { $0.isASCII && ($0.isNumber || $0.isUppercase) }
            guard code.count == 5, rest[code.endIndex...].hasPrefix(": ") else { return String(line) }
            state = state ?? String(code)
            return String(line[..<colon.upperBound] + rest[code.endIndex...].dropFirst(2))
        }
        text = oneLine(lines.joined(separator: "\n"))
        let isSetting = state.map { !Self.temporaryClasses.contains(String($0.prefix(2))) } ?? false
        settingsState = isSetting ? state : needsPassword && state == nil ? "28P01" : nil
    }
}
