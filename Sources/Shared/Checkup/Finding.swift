/// The result of one check, with a fix if one is needed.
public struct Finding: Sendable, Equatable, Encodable {
    public enum Verdict: String, Sendable, Encodable {
        case ok
        /// It works, but something should be improved.
        case warn
        case fail
    }

    /// The subject of the check: `spool rights`.
    public let subject: String
    public let verdict: Verdict
    /// The finding as text.
    public let finding: String
    /// How to fix it; nil if no action is needed.
    public let remedy: String?
    /// Whether it may disappear without action, for example while the database is unavailable.
    public let isTemporary: Bool

    private enum CodingKeys: String, CodingKey {
        case subject, verdict, finding, remedy
        case isTemporary = "temporary"
    }

    public static func ok(_ subject: String, _ finding: String) -> Finding {
        Finding(subject: subject, verdict: .ok, finding: finding, remedy: nil, isTemporary: false)
    }

    public static func warn(_ subject: String, _ finding: String, do remedy: String) -> Finding {
        Finding(subject: subject, verdict: .warn, finding: finding, remedy: remedy, isTemporary: false)
    }

    public static func fail(
        _ subject: String, _ finding: String, do remedy: String, isTemporary: Bool = false
    ) -> Finding {
        Finding(subject: subject, verdict: .fail, finding: finding, remedy: remedy, isTemporary: isTemporary)
    }
}
