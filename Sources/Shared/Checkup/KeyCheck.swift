internal import Glibc

/// Checks that the keys exist and are hard to guess, without showing any of them.
public struct KeyCheck {
    private let ingest: [String]
    private let read: [String]

    /// - Parameters:
    ///   - ingest: the keys that allow sending batches.
    ///   - read: the keys that allow reading.
    public init(ingest: [String], read: [String]) {
        self.ingest = ingest
        self.read = read
    }

    /// - Parameter isReceiver: whether this is the receiver, the only program that requires a key.
    public func results(isReceiver: Bool) -> [CheckResult] {
        var results: [CheckResult] = []
        if !ingest.isEmpty {
            results.append(result("key", "INGEST_API_KEY", ingest))
        } else if isReceiver {
            results.append(
                .fail(
                    "key", "INGEST_API_KEY is not configured: every batch is refused with 500",
                    do: "set it to the output of `openssl rand -hex 32`, and give the sender the same key"))
        }
        if !read.isEmpty { results.append(result("read key", "READ_API_KEY", read)) }
        if !Set(ingest).isDisjoint(with: read) {
            results.append(
                .warn(
                    "key", "a key in READ_API_KEY is an ingest key as well",
                    do: "give readers a separate key"))
        }
        return results
    }

    /// Checks the mode of a file with secrets: not every user may read it, and only the owner may write it.
    public static func result(ofFile path: String, as subject: String) -> CheckResult {
        var status = stat()
        guard stat(path, &status) == 0 else {
            return .fail(
                subject, "\(path) cannot be examined: \(String(cString: strerror(errno)))",
                do: "check the path, and the user that runs this")
        }
        let mode = String(status.st_mode & 0o777, radix: 8)
        if status.st_mode & 0o022 != 0 {
            return .fail(
                subject, "other users may write \(path) (mode \(mode))", do: "chmod 640 the file, and renew the keys")
        }
        if status.st_mode & 0o004 != 0 {
            return .fail(
                subject, "every user of this machine may read the secrets in \(path) (mode \(mode))",
                do: "chmod 640 the file, and renew the keys")
        }
        return .ok(subject, "\(path) has mode \(mode)")
    }

    private static let shortest = 16
    private static let leastVariety = 8
    /// A randomly generated key contains none of these.
    private static let examples = [
        "secret", "password", "changeme", "change-me", "change_me", "replace", "example", "your-", "your_", "api-key",
        "api_key", "apikey", "test",
    ]

    private func result(_ subject: String, _ name: String, _ keys: [String]) -> CheckResult {
        let weaknesses = keys.enumerated().flatMap { index, key in
            Self.weaknesses(of: key).map { keys.count == 1 ? $0 : "key \(index + 1) \($0)" }
        }
        let unusable = keys.contains { !$0.utf8.allSatisfy { 0x21..<0x7F ~= $0 } }
        let remedy = "make one with `openssl rand -hex 32`; while both are listed, separated by a comma, both are valid"
        if unusable {
            return .fail(subject, "\(name): \(weaknesses.joined(separator: ", "))", do: remedy)
        }
        if !weaknesses.isEmpty {
            return .warn(subject, "\(name): \(weaknesses.joined(separator: ", "))", do: remedy)
        }
        return .ok(subject, "\(name): \(keys.count == 1 ? "one key" : "\(keys.count) keys")")
    }

    private static func weaknesses(of key: String) -> [String] {
        var weaknesses: [String] = []
        if !key.utf8.allSatisfy({ 0x21..<0x7F ~= $0 }) {
            weaknesses.append("has a character that no HTTP header can carry, such as a space or a letter beyond ASCII")
        }
        if key.utf8.count < shortest {
            weaknesses.append("has \(key.utf8.count) characters, fewer than \(shortest)")
        } else if Set(key.utf8).count < leastVariety {
            weaknesses.append("has fewer than \(leastVariety) different characters")
        }
        if examples.contains(where: key.lowercased().contains) { weaknesses.append("looks like a key from an example") }
        return weaknesses
    }
}
