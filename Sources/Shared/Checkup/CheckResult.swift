/// The result of one check, with a remedy if one is needed.
public struct CheckResult: Sendable, Equatable, Encodable {
    public enum Level: String, Sendable, Encodable {
        case ok
        /// It works, but something should be improved.
        case warn
        case fail
    }

    /// The subject of the check: `spool rights`.
    public let subject: String
    /// How serious the finding is.
    public let verdict: Level
    /// The result as a sentence.
    public let finding: String
    /// How to fix it; nil if no action is needed.
    public let remedy: String?
    /// Whether it may disappear without action, for example while the database is unavailable.
    public let isTemporary: Bool

    // The names are a contract with the readers of `doctor --json`.
    private enum CodingKeys: String, CodingKey {
        case subject, verdict, finding, remedy
        case isTemporary = "temporary"
    }

    public static func ok(_ subject: String, _ finding: String) -> CheckResult {
        CheckResult(subject: subject, verdict: .ok, finding: finding, remedy: nil, isTemporary: false)
    }

    public static func warn(_ subject: String, _ finding: String, do remedy: String) -> CheckResult {
        CheckResult(subject: subject, verdict: .warn, finding: finding, remedy: remedy, isTemporary: false)
    }

    public static func fail(
        _ subject: String, _ finding: String, do remedy: String, isTemporary: Bool = false
    ) -> CheckResult {
        CheckResult(subject: subject, verdict: .fail, finding: finding, remedy: remedy, isTemporary: isTemporary)
    }
}
