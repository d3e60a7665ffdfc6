internal import Glibc
internal import Logs
internal import Text

/// The findings of a program's check of its environment, one line each.
///
/// Each line is printed at once, because the next check may hang, for example on an unresponsive disk.
public struct Checkup {
    public private(set) var findings: [Finding] = []
    private let say: (String) -> Void

    /// - Parameter say: called with each line as human-readable text.
    public init(say: @escaping (String) -> Void = { _ in }) { self.say = say }

    public mutating func add(_ finding: Finding) {
        findings.append(finding)
        say(Self.line(finding))
    }

    public mutating func add(_ findings: [Finding]) {
        for finding in findings { add(finding) }
    }

    /// 0 if no check failed, 75 (EX_TEMPFAIL) if all failures are temporary, otherwise 1.
    public var exitCode: Int32 {
        let failures = findings.filter { $0.verdict == .fail }
        if failures.isEmpty { return 0 }
        return failures.allSatisfy(\.isTemporary) ? EX_TEMPFAIL : 1
    }

    /// The worst verdict.
    public var verdict: Finding.Verdict {
        let verdicts = Set(findings.map(\.verdict))
        return verdicts.contains(.fail) ? .fail : verdicts.contains(.warn) ? .warn : .ok
    }

    /// The report in one line: `{"verdict","checks":[{"subject","verdict","finding","remedy"?,"temporary"}]}`.
    public var json: String {
        struct Report: Encodable {
            let verdict: Finding.Verdict
            let checks: [Finding]
        }
        return JSONText(encoding: Report(verdict: verdict, checks: findings)).text
    }

    private static let words: [Finding.Verdict: String] = [.ok: "ok  ", .warn: "warn", .fail: "FAIL"]
    private static let subjectWidth = 14

    private static func line(_ finding: Finding) -> String {
        let padding = String(repeating: " ", count: max(0, subjectWidth - finding.subject.count))
        let remedy = finding.remedy.map { "; \($0)" } ?? ""
        return "\(words[finding.verdict] ?? "")  \(finding.subject)\(padding)  \((finding.finding + remedy).inOneLine)"
    }
}
