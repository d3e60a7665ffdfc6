import FoundationEssentials
import Settings

/// The sources for the keys of one kind.
///
/// These are a setting that lists keys, a file that a setting names, and a systemd credential (systemd.exec(5),
/// `LoadCredential=`). Keys from all of them are valid.
struct KeySource: Sendable {
    /// The kind, as in log lines.
    let kind: String
    private let list: Setting
    private let file: Setting
    private let credential: String

    static let ingest = KeySource(
        kind: "ingest", list: .ingestAPIKey, file: .ingestAPIKeyFile, credential: "ingest_api_key")
    static let read = KeySource(kind: "read", list: .readAPIKey, file: .readAPIKeyFile, credential: "read_api_key")

    /// The keys as they are configured now; empty when nothing is configured.
    ///
    /// - Throws: when a named file or an existing credential gives no key, since the operator meant it to.
    func keys(_ settings: Settings) throws(SettingsError) -> [String] {
        var keys = settings.keys(list)
        // The environment's bytes that are not UTF-8 have become U+FFFD: other bytes would be the same key.
        guard !keys.contains(where: { $0.unicodeScalars.contains("\u{FFFD}") }) else {
            throw SettingsError("\(list.name): a key is not text in UTF-8")
        }
        if let path = settings.text(file) { keys += try read(path, named: file.name) }
        if let directory = settings.credentialsDirectory {
            let path = "\(directory)/\(credential)"
            if FileManager.default.fileExists(atPath: path) { keys += try read(path, named: "credential") }
        }
        return keys
    }

    private func read(_ path: String, named name: String) throws(SettingsError) -> [String] {
        do {
            return try KeyFile.read(path)
        } catch {
            throw SettingsError("\(name) \(path): \(error)")
        }
    }
}
