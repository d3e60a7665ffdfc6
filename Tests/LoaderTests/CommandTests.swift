import ArgumentParser
import FoundationEssentials
import Postgres
import Readings
import Spool
import Testing

@testable import Loader

@Suite(.enabled(if: Fixture.isAvailable))
struct CommandTests {
    /// Runs a command in this process and returns its exit code.
    private func run(_ arguments: String...) -> Int32 {
        do {
            var command = try Loader.parseAsRoot(arguments)
            try command.run()
            return 0
        } catch {
            return Loader.exitCode(for: error).rawValue
        }
    }

    @Test func anUnavailableDatabaseIsATemporaryFailure() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        let file = try fixture.envFile(url: "postgresql://nobody@127.0.0.1:1/nothing")
        #expect(run("drain", "--env-file", file) == 75)
        #expect(run("stats", "--env-file", file) == 75)
        #expect(run("status", "--env-file", file) == 0)
        #expect(run("replay", "--dry-run", "--env-file", file) == 0)
        #expect(run("verify", "--env-file", file) == 0)
    }

    @Test func commandsHaveTheirExitCodes() throws {
        let fixture = try Fixture(migrated: false)
        try fixture.append(Fixture.batch(minutes: 0..<2))
        fixture.seal()
        let file = try fixture.envFile()
        #expect(run("drain", "--env-file", file) == 1)
        #expect(run("migrate", "--env-file", file) == 0)
        #expect(run("drain", "--env-file", file, "--json") == 0)
        #expect(run("verify", "--database", "--env-file", file) == 0)
        #expect(run("status", "--json", "--env-file", file) == 0)
        #expect(run("stats", "--env-file", file) == 0)
        try fixture.sql("DELETE FROM power_logs")
        #expect(run("verify", "--database", "--env-file", file) == 1)
        #expect(run("replay", "1", "--env-file", file) == 0)
        #expect(run("verify", "--database", "--env-file", file) == 0)
        #expect(run("drain", "--spool", fixture.path.appending("none").string, "--env-file", file) == 1)
        #expect(run("cat", "7", "--env-file", file) == 1)
        #expect(run("cat", "--from", "soon") == 64)
    }

    @Test func statusReportsPendingRecords() throws {
        let fixture = try Fixture()
        try fixture.append(Fixture.batch(minutes: 0..<1))
        fixture.seal()
        _ = try fixture.drain()
        try fixture.append(Fixture.batch(minutes: 1..<2))
        let lock = try SpoolLock(.receiver, of: fixture.path)
        let status = try SpoolStatus.read(fixture.directory, try fixture.database)
        #expect((status.pending.segments, status.loaded.segments) == (1, 1))
        #expect(status.backlogBytes == status.pending.bytes)
        #expect(status.oldestUnloadedSeconds ?? 0 > 0)
        #expect(status.receiver != nil && status.loader == nil && status.databaseProblem == nil)
        withExtendedLifetime(lock) {}

        _ = try fixture.drain()
        let away = Database(conninfo: "postgresql://nobody@127.0.0.1:1/nothing", table: try fixture.table)
        let dark = try SpoolStatus.read(fixture.directory, away)
        #expect(dark.databaseProblem?.hasPrefix("database unavailable") == true)
        // Without the database the load mark in the spool is used.
        #expect(dark.backlogBytes == 0)
    }

    @Test func catPrintsJSON() throws {
        struct RecordLine: Decodable {
            struct Body: Decodable {
                let messages: [Message]
            }
            struct Message: Decodable {
                let src: String
            }
            let record: String
            let receivedAt: String
            let body: Body
        }
        struct ReadingLine: Decodable, Equatable {
            let record: String
            let deviceId: String
            let channel: Int
            let power: Double
            let voltage: Double?
            let current: Double?
            let timestamp: Int64
            let idempotencyKey: String
        }
        let fixture = try Fixture(migrated: false)
        try fixture.append(Fixture.batch(minutes: 0..<2), Fixture.batch(Fixture.message(#"a\"b"#, power: "-1e22")))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        func lines(_ readings: Bool, _ arguments: [String]) throws -> [[UInt8]] {
            var lines: [[UInt8]] = []
            let dump = RecordDump(
                selection: try .parse(arguments), readings: readings, put: { lines.append($0) }, damaged: { _ in })
            try dump.run(SegmentFile(try fixture.segment(1)))
            return lines
        }
        let records = try lines(false, []).map { try decoder.decode(RecordLine.self, from: Data($0)) }
        #expect(records.map(\.record) == ["00000001:1", "00000001:2"])
        #expect(records[0].receivedAt == "2025-11-24T12:13:00.000Z")
        #expect(records[1].body.messages[0].src == "a\"b")
        #expect(try lines(false, ["--device", "plug"]).count == 1)
        let readings = try lines(true, ["--device", "a\"b"]).map {
            try decoder.decode(ReadingLine.self, from: Data($0))
        }
        #expect(
            readings == [
                ReadingLine(
                    record: "00000001:2", deviceId: "a\"b", channel: 0, power: -1e22, voltage: 230.5, current: nil,
                    timestamp: Fixture.start, idempotencyKey: "a\"b_0_29398333")
            ])
    }
}
