/// The result of one check, with a fix if one is needed.
public struct CheckResult: Sendable, Equatable, Encodable {
    public enum Status: String, Sendable, Encodable {
        case ok
        /// It works, but something should be improved.
        case warn
        case fail
    }

    /// The subject of the check: `spool rights`.
    public let subject: String
    public let status: Status
    /// The result as a sentence.
    public let detail: String
    /// How to fix it; nil if no action is needed.
    public let fix: String?
    /// Whether it may disappear without action, for example while the database is unavailable.
    public let isTemporary: Bool

    private enum CodingKeys: String, CodingKey {
        case subject
        case status = "verdict"
        case detail = "finding"
        case fix = "remedy"
        case isTemporary = "temporary"
    }

    public static func ok(_ subject: String, _ detail: String) -> CheckResult {
        CheckResult(subject: subject, status: .ok, detail: detail, fix: nil, isTemporary: false)
    }

    public static func warn(_ subject: String, _ detail: String, do fix: String) -> CheckResult {
        CheckResult(subject: subject, status: .warn, detail: detail, fix: fix, isTemporary: false)
    }

    public static func fail(
        _ subject: String, _ detail: String, do fix: String, isTemporary: Bool = false
    ) -> CheckResult {
        CheckResult(subject: subject, status: .fail, detail: detail, fix: fix, isTemporary: isTemporary)
    }
}
