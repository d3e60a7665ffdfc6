import FoundationEssentials
import Settings

/// Where the keys of one kind come from: a setting that lists them, a file that a setting names, and a systemd
/// credential (systemd.exec(5), `LoadCredential=`). What any of these holds is valid.
struct KeySource: Sendable {
    /// The kind, in log lines.
    let kind: String
    private let list: Setting
    private let file: Setting
    private let credential: String

    static let ingest = KeySource(
        kind: "ingest", list: .ingestAPIKey, file: .ingestAPIKeyFile, credential: "ingest_api_key")
    static let read = KeySource(kind: "read", list: .readAPIKey, file: .readAPIKeyFile, credential: "read_api_key")

    /// The keys as they are configured now; none where nothing is configured.
    ///
    /// - Throws: when a file that is named or a credential that is there gives no key, since somebody wanted it to.
    func keys(_ settings: Settings) throws(SettingsError) -> [String] {
        var keys = settings.keys(list)
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
