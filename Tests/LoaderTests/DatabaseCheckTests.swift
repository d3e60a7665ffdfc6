import Checkup
import Testing

@testable import Loader

struct DatabaseCheckTests {
    /// As README states: versions before 12 are refused, and versions before 15 get a warning.
    @Test(
        arguments: [
            (9, .fail), (11, .fail), (12, .warn), (13, .warn), (14, .warn), (15, .ok), (18, .ok),
        ] as [(Int, CheckResult.Level)])
    func aServersVersionIsJudged(version: Int, verdict: CheckResult.Level) {
        let result = DatabaseCheck.result(ofVersion: version, "PostgreSQL \(version)")
        #expect(result.verdict == verdict)
        #expect((result.remedy == "use PostgreSQL 12 or newer") == (verdict == .fail))
    }
}
