public import Settings

/// Checks that the settings are valid.
public enum SettingsCheck {
    /// - Parameter problems: one text for each invalid setting.
    public static func results(_ settings: Settings, problems: [String]) -> [CheckResult] {
        guard problems.isEmpty else {
            return problems.map {
                .fail("settings", $0, do: "correct it, see docs/CONFIGURATION.md; the checks below run without it")
            }
        }
        let names = settings.given
        let list = names.isEmpty ? "all have their defaults" : "given: \(names.joined(separator: ", "))"
        return [.ok("settings", list)]
    }
}
