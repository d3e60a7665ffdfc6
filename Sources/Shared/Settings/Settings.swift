internal import FoundationEssentials
public import Logging
internal import Logs

/// The configuration of a process.
///
/// Flags override the environment, the environment overrides the file, and the file overrides the defaults.
///
/// All settings are validated at start. An unknown or malformed setting is rejected by name, and a secret value is not
/// repeated.
public struct Settings: Sendable {
    private var values: [String: String] = [:]

    /// The directory with this service's systemd credentials (systemd.exec(5), `LoadCredential=`), or nil if there are
    /// none.
    public let credentialsDirectory: String?

    /// An unknown environment variable with one of these prefixes is a misspelt setting, not another program's
    /// variable.
    private static let ownPrefixes = ["INGEST_", "SPOOL_", "LOADER_", "READ_API"]

    /// - Parameters:
    ///   - flags: values of command-line flags by setting name, nil where a flag was not given.
    ///   - environment: the process's variables.
    ///   - file: path of a `.env`-style file: `NAME=value` lines, `#` comments, values optionally in quotes.
    public init(
        flags: [String: String?] = [:],
        environment: [String: String] = Settings.processEnvironment,
        file: String? = nil
    ) throws(SettingsError) {
        var problems: [String] = []
        self.init(flags: flags, environment: environment, file: file, problems: &problems)
        guard problems.isEmpty else { throw SettingsError(problems.joined(separator: "; ")) }
    }

    /// Reads the valid settings, ignores the others, and adds one text per error to `problems`.
    public init(
        flags: [String: String?] = [:],
        environment: [String: String] = Settings.processEnvironment,
        file: String? = nil,
        problems: inout [String]
    ) {
        credentialsDirectory = environment["CREDENTIALS_DIRECTORY"]
        if let file { read(file: file, &problems) }
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
            if let setting = Self.setting(name) {
                take(setting, value, from: "environment", &problems)
            } else if Self.ownPrefixes.contains(where: name.hasPrefix), !ServiceLink.describes(name, value) {
                problems.append("environment: unknown setting \(name)\(Self.suggestion(for: name))")
            }
        }
        for (name, value) in flags {
            if let setting = Self.setting(name), let value { take(setting, value, from: "command line", &problems) }
        }
    }

    /// The names of the settings that are set explicitly.
    public var given: [String] { Setting.all.map(\.name).filter { values[$0] != nil } }

    /// The environment of this process.
    public static var processEnvironment: [String: String] { ProcessInfo.processInfo.environment }

    /// The setting's value or default, or nil if it has neither.
    public func text(_ setting: Setting) -> String? {
        values[setting.name] ?? setting.standard
    }

    /// Like `text(_:)`, for settings that have a default.
    public func required(_ setting: Setting) -> String {
        guard let value = text(setting) else { preconditionFailure("\(setting.name) has no default") }
        return value
    }

    /// The value of an integer setting. Its bounds have been checked.
    public func integer(_ setting: Setting) -> Int {
        guard let value = Int(required(setting)) else { preconditionFailure("\(setting.name) is not an integer") }
        return value
    }

    /// The value of a setting in seconds.
    public func duration(_ setting: Setting) -> Duration { .seconds(integer(setting)) }

    /// The keys in a setting's comma-separated list.
    public func keys(_ setting: Setting) -> [String] {
        // By scalars: with a combining mark behind it a comma is another character.
        (text(setting) ?? "").unicodeScalars.split(separator: ",").map { String($0)[...].trimmed }
            .filter { !$0.isEmpty }.map(String.init)
    }

    /// The program's logger, on standard error.
    public func logger(_ program: String) -> Logger {
        LogOutput.standardError.format = LogFormat(rawValue: required(.logFormat)) ?? .text
        var logger = Logger(label: program) { LineLogHandler(label: $0) }
        logger.logLevel = Logger.Level(rawValue: required(.logLevel)) ?? .info
        return logger
    }

    private static func setting(_ name: String) -> Setting? { Setting.all.first { $0.name == name } }

    // An empty value is the same as none: in a shell, `FOO= command` unsets a variable for one command.
    private mutating func take(
        _ setting: Setting, _ value: String, from source: String, _ problems: inout [String]
    ) {
        guard !value.isEmpty else { return }
        switch setting.kind {
        case .text, .secret: break
        case .integer(let bounds):
            guard let number = Int(value), bounds.contains(number) else {
                return problems.append(
                    "\(source): \(setting.name) must be a whole number from \(bounds.lowerBound) to "
                        + "\(bounds.upperBound), not \(quoted(value))")
            }
        case .choice(let choices):
            guard choices.contains(value) else {
                return problems.append(
                    "\(source): \(setting.name) must be one of \(choices.joined(separator: ", ")), not \(quoted(value))"
                )
            }
        case .list(let choices):
            let names = value.split(separator: ",", omittingEmptySubsequences: false).map { String($0.trimmed) }
            guard value == "all" || Set(names).count == names.count && names.allSatisfy(choices.contains) else {
                return problems.append(
                    "\(source): \(setting.name) must be all or some of \(choices.joined(separator: ", ")), each once and "
                        + "separated by commas, not \(quoted(value))")
            }
        }
        values[setting.name] = value
    }

    private mutating func read(file: String, _ problems: inout [String]) {
        guard let content = try? String(contentsOfFile: file, encoding: .utf8) else {
            return problems.append("cannot read the settings file \(file)")
        }
        var number = 0
        // Split at any line break: in Swift "\r\n" is one character and is not equal to "\n". A byte order mark is not
        // part of a name.
        for line in content.drop(while: { $0 == "\u{FEFF}" }).split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        {
            number += 1
            let line = line.trimmed
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                problems.append("\(file) line \(number): expected NAME=value")
                continue
            }
            let name = String(parts[0].trimmed)
            guard let setting = Self.setting(name) else {
                problems.append(
                    "\(file) line \(number): unknown setting \(quoted(name))\(Self.suggestion(for: name))")
                continue
            }
            take(setting, String(parts[1].trimmed.unquoted), from: "\(file) line \(number)", &problems)
        }
    }

    private static func suggestion(for name: String) -> String {
        let flat = name.filter { $0 != "_" }
        let near = Setting.all.first { $0.name.filter { $0 != "_" } == flat }
        return near.map { "; did you mean \($0.name)?" } ?? ""
    }
}

/// A value for a message: printable ASCII, shortened.
private func quoted(_ value: String) -> String {
    let safe = value.unicodeScalars.prefix(40).map { 0x20..<0x7F ~= $0.value ? Character($0) : "?" }
    return "'\(String(safe))'"
}

extension Substring {
    fileprivate var trimmed: Substring {
        var part = self
        while let c = part.first, c.isWhitespace { part.removeFirst() }
        while let c = part.last, c.isWhitespace { part.removeLast() }
        return part
    }

    fileprivate var unquoted: Substring {
        for quote: Character in ["\"", "'"] where count >= 2 && first == quote && last == quote {
            return dropFirst().dropLast()
        }
        return self
    }
}
