import ArgumentParser
import Readings
import Testing

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct DeadLetterTests {
    /// Invariant 8: every message that cannot be loaded is on disk with its reason, and the rest is loaded.
    @Test func invalidMessagesAndFaultsAreSetAside() throws {
        let fixture = try Fixture()
        try fixture.append(
            Fixture.batch(
                Fixture.message(minute: 0), #"{"src":"","timestamp":1,"params":{}}"#,
                Fixture.message(minute: 1, power: #""much""#), Fixture.message(minute: 2)))
        fixture.seal()
        let summary = try fixture.drain()
        #expect((summary.readings, summary.inserted, summary.rejected, summary.invalidMessages) == (3, 2, 1, 1))
        #expect(try fixture.progress() == ["1 3 2 0 1 t"])
        let letters = try fixture.deadLetters()
        #expect(letters.count == 2)
        #expect(
            letters[0].contains(#""reason":"switch:0.apower is not a number","record":"00000001:1","message_index":2"#))
        #expect(letters[0].contains(#""device_id":"plug","channel":0"#))
        #expect(letters[0].contains(#""message":{"src":"plug""#))
        #expect(letters[1].contains(#""reason":"Device ID cannot be empty","record":"00000001:1","message_index":1"#))
    }

    @Test func aRecordThatIsNoBatchIsSetAside() throws {
        let fixture = try Fixture()
        try fixture.append("not json", Fixture.batch(minutes: 0..<1))
        let summary = try fixture.drain()
        #expect((summary.records, summary.readings, summary.inserted, summary.invalidMessages) == (2, 1, 1, 1))
        #expect(try fixture.deadLetters().first?.contains(#""body":"not json""#) == true)
    }

    /// Rows that the database refuses are found one by one, at every position in the statement.
    @Test(arguments: [[0], [19], [3, 4, 11], Array(0..<20)], [7, 50_000])
    func refusedRowsAreFoundAndTheOthersAreInserted(refused: [Int], statementRows: Int) throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (power < 1000)")
        let messages = (0..<20).map { Fixture.message(minute: $0, power: refused.contains($0) ? "1000" : "1") }
        try fixture.append("{\"messages\":[\(messages.joined(separator: ","))]}")
        fixture.seal()
        let summary = try fixture.drain { $0.statementRows = statementRows }
        #expect((summary.inserted, summary.rejected) == (20 - refused.count, refused.count))
        #expect(try fixture.progress() == ["1 20 \(20 - refused.count) 0 \(refused.count) t"])
        let letters = try fixture.deadLetters()
        #expect(letters.count == refused.count)
        #expect(letters.allSatisfy { $0.contains(#""sqlstate":"23514""#) && $0.contains(#""power":1000.0"#) })
        #expect(letters.allSatisfy { $0.contains(#""message":{"src":"plug","timestamp":"#) })
    }

    /// A replay of dead letters inserts them once the cause is removed. Before, they are refused again.
    @Test func deadLettersAreReplayed() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CONSTRAINT small CHECK (power < 1000)")
        try fixture.append(
            Fixture.batch(
                Fixture.message(minute: 0, power: "2000"), Fixture.message(minute: 1),
                Fixture.message(minute: 2, power: #""much""#)), "no batch")
        _ = try fixture.drain()
        func replay(_ selection: String...) throws -> Replay.Counts {
            let database = try fixture.database
            let replay = Replay(
                selection: try .parse(selection), rules: try .parse([]),
                destination: .init(connection: try database.connect(), table: ReadingTable(name: database.table)),
                damaged: { _ in })
            return try replay.run(deadLetters: try #require(DeadLetters(directory: fixture.directory).files().first))
        }
        var counts = try replay()
        #expect((counts.records, counts.readings, counts.inserted, counts.rejected) == (3, 2, 0, 2))
        #expect(counts.invalidMessages == 1)
        try fixture.sql("ALTER TABLE power_logs DROP CONSTRAINT small")
        #expect(try replay("--device", "other").readings == 0)
        counts = try replay()
        #expect((counts.inserted, counts.rejected) == (1, 1))
        counts = try replay()
        #expect((counts.inserted, counts.duplicates, counts.conflicts) == (0, 1, 0))
        #expect(try fixture.count() == 2)
        #expect(try fixture.deadLetters().count == 3)
    }

    /// Invariant 9: a dead letter is read by the rules of its segment, not by the present settings.
    @Test(arguments: [
        ("pm1", ReadingRules.Power.sample, #""pm1:0":{"apower":2000}"#),
        (
            "switch", .energy,
            #""switch:0":{"apower":5,"aenergy":{"by_minute":[40000,40000,40000],"minute_ts":1763900040,"total":9}}"#
        ),
    ])
    func deadLettersKeepTheRulesOfTheirSegment(component: String, power: ReadingRules.Power, params: String) throws {
        let rules = ReadingRules(components: try #require(ReadingRules.components(named: component)), power: power)
        let fixture = try Fixture(rules: rules.text)
        try fixture.sql("ALTER TABLE power_logs ADD CONSTRAINT small CHECK (power < 1000)")
        try fixture.append("{\"messages\":[{\"src\":\"plug\",\"timestamp\":1763900050,\"params\":{\(params)}}]}")
        let refused = try fixture.drain().rejected
        #expect(refused > 0)
        try fixture.sql("ALTER TABLE power_logs DROP CONSTRAINT small")
        let database = try fixture.database
        let replay = Replay(
            selection: try .parse([]), rules: try .parse([]),
            destination: .init(connection: try database.connect(), table: ReadingTable(name: database.table)),
            damaged: { Issue.record("\($0)") })
        let counts = try replay.run(deadLetters: try #require(DeadLetters(directory: fixture.directory).files().first))
        #expect(counts.inserted == refused)
        #expect(try fixture.count() == refused)
    }

    @Test func onlyTheRowWithANumberOutOfRangeIsRefused() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ALTER power TYPE real")
        try fixture.append(Fixture.batch(Fixture.message(minute: 0), Fixture.message(minute: 1, power: "1e300")))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.rejected) == (1, 1))
        #expect(try fixture.deadLetters().first?.contains(#""sqlstate":"22003""#) == true)
    }

    /// The second of two rows with a key is a duplicate only if the first is accepted.
    @Test func aRefusedRowDoesNotMakeTheNextOneADuplicate() throws {
        let fixture = try Fixture()
        try fixture.sql("ALTER TABLE power_logs ADD CHECK (power < 1000)")
        try fixture.append(
            Fixture.batch(
                Fixture.message(power: "1000"), Fixture.message(power: "2000"), Fixture.message(power: "3"),
                Fixture.message(power: "4")))
        let summary = try fixture.drain()
        #expect((summary.inserted, summary.duplicates, summary.rejected) == (1, 1, 2))
        #expect(try fixture.rows("SELECT power FROM power_logs") == ["3"])
    }
}
