import Postgres
import Testing

@Suite struct PostgresErrorTests {
    @Test(arguments: [
        ("08006", true), ("53100", true), ("53300", true), ("57P01", true), ("57P02", true), ("57P03", true),
        ("57014", true), ("25006", true), ("55P03", true), ("58030", true), ("23505", false), ("22003", false),
        ("42P01", false), ("42501", false), ("40001", false), ("40P01", false), ("25P02", false), ("57P04", false),
    ])
    func conditionsThatEndByThemselvesAreTemporary(_ state: String, _ isTemporary: Bool) {
        #expect(PostgresError.refused(sqlState: state, message: "", detail: nil).isTemporary == isTemporary)
    }

    @Test(arguments: [("40001", true), ("40P01", true), ("23505", false)])
    func serializationFailuresAndDeadlocksAreRetryable(_ state: String, _ isRetryable: Bool) {
        #expect(PostgresError.refused(sqlState: state, message: "", detail: nil).isRetryable == isRetryable)
    }

    @Test func onlyAServersErrorHasASQLState() {
        #expect(PostgresError.refused(sqlState: "23505", message: "", detail: nil).sqlState == "23505")
        #expect(PostgresError.unavailable("").sqlState == nil && PostgresError.outcomeUnknown("").sqlState == nil)
    }
}
