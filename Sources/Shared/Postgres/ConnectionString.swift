internal import CLibpq

/// A connection string as people write it, URL or key/value list.
///
/// libpq's messages name the host, the user, the database and the files of a string. If a string has another separator
/// than libpq's, one of these contains the password. So such a string is refused before libpq sees it, and no error of
/// this type repeats a part of it.
struct ConnectionString {
    /// Characters that a value cannot have, unless its author has meant them to separate it from the next one.
    private static let foreign: [String: String] = [
        "host": ";=\"@? \t\n", "hostaddr": ";=\"@? \t\n", "port": ";=\"@? \t\n", "user": ";=\",/:& \t\n",
        "dbname": ";=\"@?&\t\n",
    ]
    /// Values that may contain anything, since no message shows them.
    private static let unseen = ["password", "sslpassword", "options", "application_name", "fallback_application_name"]

    let text: String

    init(_ text: String) throws(PostgresError) {
        self.text = text
        if let scheme = text.firstRange(of: "://"), !text[..<scheme.lowerBound].contains("=") {
            // A raw `@` or `/` in a password makes libpq parse the rest as host or database.
            let parts = text[scheme.upperBound...].split(separator: "/", maxSplits: 1)
            let path = parts.count == 2 ? parts[1].prefix { $0 != "?" } : ""
            guard (parts.first ?? "").count(where: { $0 == "@" }) <= 1, !path.contains("@") else {
                throw .invalid("DATABASE_URL has a stray '@'; in passwords, write %40 for '@', %2F for '/'")
            }
        }
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(text, &message)
        if let message { PQfreemem(message) }
        guard let options else {
            throw .invalid(
                "DATABASE_URL is malformed; expected postgresql://user@host/database or host=… dbname=…")
        }
        defer { PQconninfoFree(options) }
        for (name, value) in Self.values(options).sorted(by: { $0.key < $1.key }) where !Self.unseen.contains(name) {
            let foreign = Self.foreign[name] ?? ";"
            guard !value.unicodeScalars.contains(where: { foreign.unicodeScalars.contains($0) }) else {
                throw .invalid(
                    "DATABASE_URL has a \(name) with a character that separates it from something else; key=value pairs "
                        + "are separated by spaces, parameters of a URL by '?' and '&'")
            }
        }
    }

    /// The options that have a value, by name.
    static func values(_ options: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var values: [String: String] = [:]
        var entry = options
        while let keyword = entry.pointee.keyword {
            if let value = entry.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            entry += 1
        }
        return values
    }
}
