import Checkup
import Testing

@testable import Loader

struct DatabaseCheckTests {
    /// As README says: versions before 12 are refused, and before 14 advised against.
    @Test(
        arguments: [
            (9, .fail), (11, .fail), (12, .warn), (13, .warn), (14, .ok), (15, .ok), (18, .ok),
        ] as [(Int, CheckResult.Status)])
    func aServersVersionIsJudged(version: Int, status: CheckResult.Status) {
        let result = DatabaseCheck.result(ofVersion: version, "PostgreSQL \(version)")
        #expect(result.status == status)
        #expect((result.fix == "use PostgreSQL 12 or newer") == (status == .fail))
    }
}
