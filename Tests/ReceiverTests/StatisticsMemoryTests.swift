import Postgres
import Testing

@testable import Receiver

struct StatisticsMemoryTests {
    private let start = ContinuousClock.now
    private let away = PostgresError.unavailable("the server has closed the connection")
    private let slow = PostgresError.refused(sqlState: "57014", message: "canceling statement", detail: nil)

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    /// Runs a query from one time to another.
    private func run(
        _ memory: inout StatisticsMemory, _ from: Double, _ to: Double,
        _ result: Result<QueueStatistics, PostgresError> = .success(QueueStatistics(totalLogs: 7))
    ) {
        memory.connecting(at: at(from))
        memory.querying(at: at(from))
        memory.ended(result, at: at(to))
    }

    private func text(_ outcome: StatisticsMemory.Outcome?) -> String {
        switch outcome {
        case nil: "none"
        case .counting: "counting"
        case .connecting: "connecting"
        case .failure: "failure"
        case .statistics(let statistics, let age): "\(statistics.totalLogs) rows, \(age.components.seconds) s"
        }
    }

    @Test func theFirstRequestsWaitForTheQueryAndForAConnectionInProgress() {
        var memory = StatisticsMemory()
        #expect(text(memory.fresh(at: start)) == "none")
        memory.connecting(at: start)
        #expect(text(memory.outcome(at: at(1))) == "connecting")
        #expect(text(memory.outcome(at: at(1.7))) == "failure")
        memory.connecting(at: at(1.8))
        #expect(text(memory.outcome(at: at(3))) == "connecting")
        memory.querying(at: at(4))
        #expect(text(memory.outcome(at: at(30))) == "counting")
        memory.ended(.success(QueueStatistics(totalLogs: 7)), at: at(400))
        #expect(text(memory.outcome(at: at(400))) == "7 rows, 396 s")
    }

    @Test func aShortQueryIsRepeatedEachSecondAndALongOneLessOften() {
        var memory = StatisticsMemory()
        run(&memory, 0, 0.1)
        #expect(text(memory.fresh(at: at(1))) == "7 rows, 1 s")
        #expect(text(memory.fresh(at: at(1.2))) == "none")
        run(&memory, 2, 7)
        #expect(text(memory.fresh(at: at(26))) == "7 rows, 24 s")
        #expect(text(memory.fresh(at: at(28))) == "none")
    }

    @Test func aSleepingDatabaseIsNotQueried() {
        var memory = StatisticsMemory(databaseSleep: .seconds(900))
        run(&memory, 0, 0.1)
        #expect(text(memory.fresh(at: at(900))) == "7 rows, 900 s")
        #expect(text(memory.fresh(at: at(901))) == "none")
        // Only a query shows that the database is back.
        run(&memory, 1000, 1000.1, .failure(away))
        #expect(text(memory.fresh(at: at(1001))) == "failure" && text(memory.fresh(at: at(1002))) == "none")
    }

    @Test func whileAQueryIsInFlightTheMemoryAnswersWithItsAge() {
        var memory = StatisticsMemory()
        run(&memory, 0, 0.1)
        memory.connecting(at: at(10))
        #expect(text(memory.outcome(at: at(10))) == "7 rows, 10 s")
        memory.querying(at: at(11))
        #expect(text(memory.outcome(at: at(70))) == "7 rows, 70 s")
    }

    @Test func afterAFailureOnlyASuccessfulQueryEndsTheOutage() {
        var memory = StatisticsMemory()
        run(&memory, 0, 0.1)
        run(&memory, 2, 3, .failure(away))
        #expect(text(memory.fresh(at: at(3.5))) == "failure")
        #expect(text(memory.fresh(at: at(4.5))) == "none")
        memory.connecting(at: at(5))
        #expect(text(memory.outcome(at: at(5))) == "connecting")
        #expect(text(memory.outcome(at: at(6.7))) == "failure")
        memory.querying(at: at(6.8))
        #expect(text(memory.outcome(at: at(7))) == "counting")
        memory.ended(.success(QueueStatistics(totalLogs: 8)), at: at(9))
        #expect(text(memory.outcome(at: at(9))) == "8 rows, 2 s")
    }

    @Test(arguments: [
        ("40001", true), ("40P01", true), ("53100", true), ("53200", true), ("53400", true), ("55P03", true),
        ("57014", true), ("58030", false), ("58P01", false), ("55000", false), ("42501", false), ("42P01", false),
        ("42703", false), ("22012", false), ("3F000", false), ("P0001", false),
    ])
    func aRefusalThatPassesKeepsTheMemory(_ state: String, _ passes: Bool) {
        var memory = StatisticsMemory()
        run(&memory, 0, 0.1)
        run(&memory, 10, 11, .failure(.refused(sqlState: state, message: "", detail: nil)))
        #expect(text(memory.outcome(at: at(11))) == (passes ? "7 rows, 11 s" : "failure"))
        // Not if it was the start of the connection that was refused.
        var origin = PostgresError.Origin()
        origin.isStart = true
        run(&memory, 20, 21, .failure(.refused(sqlState: state, message: "", detail: nil, origin: origin)))
        #expect(text(memory.outcome(at: at(21))) == "failure")
    }

    /// A lock on the table, or a query that takes more than a minute.
    @Test func aStatementTimeoutKeepsTheMemory() {
        var memory = StatisticsMemory()
        run(&memory, 0, 60, .failure(slow))
        #expect(text(memory.outcome(at: at(60))) == "failure")
        run(&memory, 100, 101)
        run(&memory, 110, 170, .failure(slow))
        #expect(text(memory.outcome(at: at(170))) == "7 rows, 70 s")
        run(&memory, 180, 181, .failure(away))
        run(&memory, 190, 250, .failure(slow))
        #expect(text(memory.outcome(at: at(250))) == "failure")
    }
}
