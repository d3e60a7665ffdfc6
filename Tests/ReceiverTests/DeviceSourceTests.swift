import Foundation
import Logging
import NIOPosix
import Postgres
import Readings
import Spool
import Synchronization
import SystemPackage
import Testing
import Time

@testable import Commit
@testable import Ledger
@testable import Receiver

/// The answers about devices while the database is down, with the test's own clock.
struct DeviceSourceTests {
    private let path = FilePath(NSTemporaryDirectory() + "devices-" + UUID().uuidString)
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let minute: Int64 = 29_923_200

    private func withSource(
        at time: Timestamp,
        _ body: (DeviceSource, GroupCommit) async throws -> Void
    ) async throws {
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        let directory = try SpoolDirectory(creating: path)
        let recovery = try SpoolRecovery(of: directory, logger: logger)
        let commit = GroupCommit(
            ledger: recovery.ledger, writer: SpoolWriter(directory: directory, newest: recovery.newest),
            ledgerBytes: .max, spoolState: SpoolState(records: recovery.records), timeout: .seconds(600),
            logger: logger)
        let source = DeviceSource(
            groupCommit: commit,
            snapshots: DeviceSnapshots(groupCommit: commit, silentAfterSeconds: 900, now: { time }),
            powers: PowerSource(
                url: "postgresql://nobody@127.0.0.1:1/nothing", table: try TableName("power_logs"),
                databaseSleep: .zero, logger: logger),
            silentAfterSeconds: 900, now: { time })
        try await body(source, commit)
        await commit.stop()
    }

    /// Asks again while the ledger does not answer within its second, which a busy machine can exceed.
    private func untilAnswered<Answer>(_ ask: () async throws -> Answer) async throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(600)
        while true {
            do {
                return try await ask()
            } catch let rejection as Rejection {
                guard ContinuousClock.now < deadline else { throw rejection }
                await Task.yield()
            }
        }
    }

    private func commit(_ src: String, _ minutes: [Int64], channel: Int = 0, to commit: GroupCommit) async throws {
        let messages = minutes.map {
            "{\"src\":\"\(src)\",\"timestamp\":\(60 * $0),\"params\":{\"switch:\(channel)\":{\"apower\":1}}}"
        }
        let body = Array("{\"messages\":[\(messages.joined(separator: ","))]}".utf8)
        let time = Self.minute * 60_000
        let batch = try BatchDecoder().decode(body, receivedAt: time)
        _ = try await withCheckedThrowingContinuation { continuation in
            commit.commit(
                batch, NewRecord(receivedAt: time, body: body[...]), on: MultiThreadedEventLoopGroup.singleton.next()
            ) { continuation.resume(with: $0.mapError { $0 as any Error }) }
        }
    }

    @Test(arguments: [(0, false), (900, false), (901, true)])
    func aDeviceIsSilentWhenItsLastMessageIsOlder(seconds: Int64, isSilent: Bool) async throws {
        try await withSource(at: Timestamp(unixSeconds: Self.minute * 60 + seconds)) { source, groupCommit in
            try await commit("plug", [Self.minute], to: groupCommit)
            let page = try await untilAnswered { try await source.page(DeviceQuery()) }
            #expect(page.devices.map { $0.state == .silent } == [isSilent] && page.silent == (isSilent ? 1 : 0))
            let day = try await untilAnswered { try await source.day(of: try Readings.DeviceID("plug")) }
            #expect((day?.state == .silent) == isSilent)
        }
    }

    @Test func theListAndItsCountsAgreeOnWhichDevicesAreSilent() async throws {
        try await withSource(at: Timestamp(minute: Self.minute)) { source, groupCommit in
            try await commit("gone", [Self.minute - 120], to: groupCommit)
            try await commit("plug", [Self.minute - 60], to: groupCommit)
            let before = try await untilAnswered { try await source.page(DeviceQuery()) }
            #expect(before.devices.allSatisfy { $0.state == .silent } && before.silent == 2)
            try await commit("plug", [Self.minute], to: groupCommit)
            for query in [DeviceQuery(), DeviceQuery(isSilent: true)] {
                let page = try await untilAnswered { try await source.page(query) }
                #expect(
                    page.devices.count { $0.state == .silent } == page.silent && page.matching == page.devices.count)
                for device in page.devices {
                    #expect((device.state == .silent) == (device.last.time < (Self.minute - 15) * 60), "\(device)")
                }
            }
        }
    }

    @Test func withoutTheDatabaseTheSpoolHasEverythingButPowers() async throws {
        try await withSource(at: Timestamp(minute: Self.minute)) { source, groupCommit in
            try await commit(
                "plug", [Self.minute - 1439, Self.minute - 60, Self.minute - 1, Self.minute], to: groupCommit)
            try await commit("plug", [Self.minute - 1440, Self.minute - 5], channel: 3, to: groupCommit)
            let page = try await untilAnswered { try await source.page(DeviceQuery()) }
            #expect(page.database == .away && page.total == 1 && page.matching == 1 && page.next == nil)
            let device = try #require(page.devices.first)
            #expect(device.lastMinute == Self.minute && device.channels.map(\.number) == [0, 3])
            #expect(device.channels.map(\.lastMinute) == [Self.minute, Self.minute - 5])
            #expect(
                device.channels.allSatisfy { $0.power == nil && $0.hourlyPower == Array(repeating: nil, count: 24) })
            #expect(device.activity == [1] + Array(repeating: 0, count: 21) + [1, 3])

            let plug = try Readings.DeviceID("plug")
            let found = try await untilAnswered { try await source.day(of: plug) }
            let day = try #require(found)
            #expect(day.minutes == Self.minute - 1439..<Self.minute + 1 && day.database == .away)
            #expect(day.channels.map(\.number) == [0, 3])
            #expect(day.channels.last?.points == [.init(minute: Self.minute - 5, power: nil)])
            // The day before has the one minute that is not in the last 24 hours.
            let yesterday = try await untilAnswered {
                try await source.day(of: plug, CalendarDay(number: Self.minute / 1440 - 1))
            }
            #expect(yesterday?.channels.flatMap { $0.points.map(\.minute) }.contains(Self.minute - 1440) == true)
            let other = try Readings.DeviceID("other")
            let nothing = try await untilAnswered { try await source.day(of: other) }
            #expect(nothing == nil)
        }
    }

    @Test func theListOfALargeFleetDoesNotWaitForTheLedger() async throws {
        try await withSource(at: Timestamp(minute: Self.minute)) { _, groupCommit in
            let later = Mutex(Duration.zero)
            let start = ContinuousClock.now
            let snapshots = DeviceSnapshots(
                groupCommit: groupCommit, silentAfterSeconds: 900, now: { Timestamp(minute: Self.minute) },
                largeFleet: 0,
                clock: { start + later.withLock { $0 } })
            try await commit("plug", [Self.minute], to: groupCommit)
            #expect(try await untilAnswered { try await snapshots.current() }.count == 1)
            try await commit("other", [Self.minute], to: groupCommit)

            let (isHeld, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            async let held: Void? = groupCommit.query(within: .seconds(600)) { _ in
                isHeld.signal()
                release.wait()
            }
            await withCheckedContinuation { continuation in
                DispatchQueue.global().async {
                    isHeld.wait()
                    continuation.resume()
                }
            }
            later.withLock { $0 = .seconds(60) }
            #expect(try await snapshots.current().count == 1)
            // The snapshot is too old by now, and no new one can be built.
            later.withLock { $0 = .seconds(3600) }
            await #expect(throws: Rejection.self) { try await snapshots.current() }
            release.signal()
            await held
            #expect(try await untilAnswered { try await snapshots.current() }.count == 2)
        }
    }

    @Test func theHistoryCoversTheLast24Hours() async throws {
        try await withSource(at: Timestamp(unixMilliseconds: Self.minute * 60_000 + 59_999)) { source, groupCommit in
            try await commit("a", [Self.minute, Self.minute - 1439, Self.minute - 1440], to: groupCommit)
            try await commit("b", [Self.minute, Self.minute + 1], to: groupCommit)
            let history = try await untilAnswered { try await source.history() }
            #expect(history.minutes == Self.minute - 1439..<Self.minute + 1)
            #expect(history.counts == [1] + Array(repeating: 0, count: 1438) + [2])
        }
    }

    @Test func concurrentCallsAreLimited() async throws {
        try await withSource(at: Timestamp(minute: Self.minute)) { source, _ in
            let answered = try await untilAnswered {
                let answered = await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<200 {
                        group.addTask { (try? await source.page(DeviceQuery())) != nil }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                guard answered > 0 else { throw Rejection.ledgerTimeout }
                return answered
            }
            #expect(answered > 0)
            // Refused calls occupy no place.
            let page = try await untilAnswered { try await source.page(DeviceQuery()) }
            #expect(page.devices.isEmpty)
        }
    }

    @Test func hostileNamesAreValidJSON() throws {
        let names = ["\"><img src=x onerror=alert(1)>", "</script>", "\\\u{202E}\u{2066}", "é\u{0301}", "a/b%c"]
        let devices = try names.map { name in
            DeviceSummary(
                device: try Readings.DeviceID(name), last: LastMessage(time: Self.minute * 60, missing: nil),
                lastMinute: Self.minute, state: .reporting,
                channels: [
                    .init(
                        number: 0, lastMinute: Self.minute, power: .init(minute: Self.minute, watts: -1e-7),
                        hourlyPower: [1e300, nil])
                ], activity: [1])
        }
        let page = DevicePage(
            devices: devices, next: devices.last?.device, total: 5, silent: 0, withoutReadings: 0, withoutMeter: 0,
            matching: 5,
            minutes: Self.minute..<Self.minute + 1, silentAfterSeconds: 900, database: .ok)
        let json = try #require(JSONSerialization.jsonObject(with: Data(page.json.utf8)) as? [String: Any])
        let found = (json["devices"] as? [[String: Any]])?.compactMap { $0["id"] as? String } ?? []
        #expect(found.map { Array($0.utf8) } == names.map { Array($0.utf8) })
        #expect(page.json.contains(#""power":-1e-07,"power_at":"2026-11-23T00:00:00+00:00""#))
    }
}
