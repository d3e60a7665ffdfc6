// Checkup: checks that receiver and loader share, and their results.
// Begin here.
// Uses Logs, Settings, Spool, Text, Time.

internal import Glibc
internal import Logs
internal import Text

/// The results of a program's check of its environment, one line each.
///
/// Each line is printed at once, because the next check may hang, for example on an unresponsive disk.
public struct Checkup {
    public private(set) var results: [CheckResult] = []
    private let printLine: (String) -> Void

    /// - Parameter printLine: called with each line as human-readable text.
    public init(printLine: @escaping (String) -> Void = { _ in }) { self.printLine = printLine }

    public mutating func add(_ result: CheckResult) {
        results.append(result)
        printLine(Self.line(result))
    }

    public mutating func add(_ results: [CheckResult]) {
        for result in results { add(result) }
    }

    /// 0 if no check failed, 75 (EX_TEMPFAIL) if all failures are temporary, otherwise 1.
    public var exitCode: Int32 {
        let failures = results.filter { $0.verdict == .fail }
        if failures.isEmpty { return 0 }
        return failures.allSatisfy(\.isTemporary) ? EX_TEMPFAIL : 1
    }

    /// The worst verdict.
    public var verdict: CheckResult.Level {
        let all = Set(results.map(\.verdict))
        return all.contains(.fail) ? .fail : all.contains(.warn) ? .warn : .ok
    }

    /// The report in one line: `{"verdict","checks":[{"subject","verdict","finding","remedy"?,"temporary"}]}`.
    public var json: String {
        struct Report: Encodable {
            let verdict: CheckResult.Level
            let checks: [CheckResult]
        }
        return JSONText(encoding: Report(verdict: verdict, checks: results)).text
    }

    private static let words: [CheckResult.Level: String] = [.ok: "ok  ", .warn: "warn", .fail: "FAIL"]
    private static let subjectWidth = 14

    private static func line(_ result: CheckResult) -> String {
        let padding = String(repeating: " ", count: max(0, subjectWidth - result.subject.count))
        let remedy = result.remedy.map { "; \($0)" } ?? ""
        return "\(words[result.verdict] ?? "")  \(result.subject)\(padding)  \((result.finding + remedy).inOneLine)"
    }
}
