/// What one check found, and what to do about it.
public struct Finding: Sendable, Equatable, Encodable {
    public enum Verdict: String, Sendable, Encodable {
        case ok
        /// Works, but is not as it should be.
        case warn
        case fail
    }

    /// What was looked at: `spool rights`.
    public let subject: String
    public let verdict: Verdict
    /// What was found.
    public let finding: String
    /// What to do; nil when nothing is to be done.
    public let remedy: String?
    /// Whether it may well pass by itself, as when the database is away.
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
