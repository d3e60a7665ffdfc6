import Readings
import Testing

@testable import Ledger
@testable import Receiver

/// The ledger's answers to queries for devices and their minutes.
struct DeviceMinutesTests {
    private static let today: Int64 = 20_700
    private static let midnight = today * 1440

    private func batch(_ readings: [(src: String, minute: Int64, channel: Int)]) throws -> Batch {
        let list = readings.map {
            """
            {"src":"\($0.src)","timestamp":\($0.minute * 60),"params":{"switch:\($0.channel)":{"apower":1}}}
            """
        }
        let body = "{\"messages\":[\(list.joined(separator: ","))]}"
        return try BatchDecoder().decode(Array(body.utf8), receivedAt: (Self.midnight + 1440) * 60_000)
    }

    private func ledger(_ readings: [(src: String, minute: Int64, channel: Int)]) throws -> MinuteLedger {
        var ledger = MinuteLedger()
        var undoLog = MinuteLedger.UndoLog()
        _ = ledger.insert(try batch(readings), in: 1, undoLog: &undoLog)
        return ledger
    }

    @Test func minutesOfADayAndTheNewestOfEachChannelAreReturned() throws {
        let m = Self.midnight
        let ledger = try ledger([
            ("a", m - 5000, 3), ("a", m - 9000, 3), ("a", m + 7, 0), ("a", m + 1439, 0), ("b", m, 1),
        ])
        let (a, unknown) = (try Readings.DeviceID("a"), try Readings.DeviceID("c"))
        let copies = ledger.minutes(of: [a, unknown], on: Self.today...Self.today)
        let copy = try #require(copies.first)
        #expect(copies.count == 1 && copy.device == a)
        #expect(copy.channels == [0, 3])
        #expect(copy.lastMinute == m + 1439 && copy.lastMinute(of: 3) == m - 5000 && copy.lastMinute(of: 1) == nil)
        #expect(copy.minutes(of: 0, in: m..<m + 1440) == [m + 7, m + 1439])
        #expect(copy.minutes(of: 0, in: m + 7..<m + 1439) == [m + 7])
        #expect(copy.minutes(of: 3, in: m..<m + 1440) == [])
    }

    @Test func lastSeenTimesAreCompleteAcrossPieces() throws {
        let ledger = try ledger((0..<1000).map { (src: "d\($0)", minute: Self.midnight + Int64($0), channel: $0 % 4) })
        var found: [MinuteLedger.LastSeen] = []
        var next: Int? = 0
        var pieces = 0
        while let number = next {
            let piece = ledger.lastSeen(from: number, for: .zero)
            (found, next, pieces) = (found + piece.found, piece.next, pieces + 1)
        }
        #expect(pieces == 8 && found.count == 1000)
        #expect(found.allSatisfy { $0.device.description == "d\(($0.lastMinute ?? 0) - Self.midnight)" })
    }

    @Test func theNewestMinuteIsThatOfAllChannels() throws {
        let m = Self.midnight
        let ledger = try ledger([("a", m + 9, 0), ("a", m + 8, 3), ("b", m - 1, 0), ("b", m - 2000, 3)])
        let minutes = Dictionary(
            uniqueKeysWithValues: ledger.lastSeen(from: 0, for: .seconds(1)).found.map {
                ($0.device.description, $0.lastMinute)
            })
        #expect(minutes == ["a": m + 9, "b": m - 1])
    }

    @Test func keysOfAFailedGroupAreNeitherReturnedNorCounted() throws {
        let m = Self.midnight
        var ledger = try ledger([("a", m, 0)])
        var failed = MinuteLedger.UndoLog()
        _ = ledger.insert(try batch([("a", m, 0), ("a", m + 1, 0), ("ghost", m, 0)]), in: 1, undoLog: &failed)
        #expect(ledger.counts.counts(of: m..<m + 2) == [2, 1])
        ledger.undo(failed)
        #expect(ledger.counts.counts(of: m..<m + 2) == [1, 0])
        #expect(ledger.lastSeen(from: 0, for: .seconds(1)).found.map(\.lastMinute) == [m])
        #expect(ledger.minutes(of: [try Readings.DeviceID("ghost")], on: Self.today...Self.today).isEmpty)
    }

    @Test func aDigestRestoresTheCountsOfMinutes() throws {
        let m = Self.midnight
        let readings = (0..<100).map { (src: "d\($0 % 7)", minute: m + Int64($0 / 3), channel: $0 % 4) }
        let ledger = try ledger(readings)
        let keys = try #require(ledger.keys(of: 1))
        var restored = MinuteLedger()
        // A second segment with the same keys adds no counts.
        restored.restore(keys, in: 1)
        restored.restore(keys, in: 2)
        #expect(restored.counts.counts(of: m..<m + 100) == ledger.counts.counts(of: m..<m + 100))
        #expect(ledger.counts.counts(of: m..<m + 100).reduce(0, +) == 100)
    }

    @Test func anEvictedDeviceIsNotReturned() throws {
        var ledger = try ledger([("a", Self.midnight, 0)])
        ledger.evict(before: 2)
        #expect(ledger.lastSeen(from: 0, for: .seconds(1)).found.isEmpty)
        var undoLog = MinuteLedger.UndoLog()
        _ = ledger.insert(try batch([("b", Self.midnight, 0)]), in: 2, undoLog: &undoLog)
        #expect(ledger.lastSeen(from: 0, for: .seconds(1)).found.map(\.device.description) == ["b"])
    }

    @Test func theListReadsSomeOfTheNewestMinutesAndOneOfEachHour() throws {
        let m = Self.midnight
        let window = m..<m + 1440
        // Every minute of the last two hours, and one long before.
        let minutes = [m + 30] + Array(m + 1320..<m + 1440)
        let copy = try #require(
            ledger(minutes.map { (src: "a", minute: $0, channel: 2) })
                .minutes(of: [try Readings.DeviceID("a")], on: Self.today...Self.today).first)
        let newest = m + 1439
        let recent = [newest - 60, newest - 15, newest - 5, newest - 2, newest - 1, newest]
        #expect(copy.keys(of: 2, in: window, isWithHours: false).map(\.minute) == recent)
        #expect(copy.keys(of: 2, in: window, isWithHours: true).map(\.minute) == [m + 30] + recent)
        #expect(copy.hours(of: 2, in: window).compactMap { $0 } == [m + 30, newest - 60, newest])
        #expect(copy.keys(of: 0, in: window, isWithHours: true).isEmpty)
    }
}
