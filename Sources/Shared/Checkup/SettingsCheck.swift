public import Settings

/// Whether the settings can be used.
public enum SettingsCheck {
    /// - Parameter problems: each setting that was refused.
    public static func findings(_ settings: Settings, problems: [String]) -> [Finding] {
        guard problems.isEmpty else {
            return problems.map {
                .fail("settings", $0, do: "correct it, see docs/CONFIGURATION.md; the checks below go on without it")
            }
        }
        let names = settings.given
        let list = names.isEmpty ? "all are the defaults" : "given: \(names.joined(separator: ", "))"
        return [.ok("settings", list)]
    }
}
