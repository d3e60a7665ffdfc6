import Readings
import Testing

@testable import Ledger

struct MinuteLedgerTests {
    private let decoder = BatchDecoder()

    private func batch(_ messages: [(src: String, timestamp: Int, channel: Int)]) throws -> Batch {
        let list = messages.map { message in
            """
            {"src":"\(message.src)","timestamp":\(message.timestamp),"params":{"switch:\(message.channel)":{"apower":1}}}
            """
        }
        let body = "{\"messages\":[\(list.joined(separator: ","))]}"
        return try decoder.decode(Array(body.utf8), receivedAt: 1_795_392_000_000)
    }

    @Test func aMinuteCountsOnce() throws {
        var ledger = MinuteLedger()
        var undoLog = MinuteLedger.UndoLog()
        let counts = ledger.insert(
            try batch([("a", 60, 0), ("a", 119, 0), ("a", 120, 0), ("a", 60, 1), ("b", 60, 0)]), in: 1,
            undoLog: &undoLog)
        #expect(counts == (4, 1))
        #expect(ledger.insert(try batch([("a", 100, 0), ("b", 180, 0)]), in: 1, undoLog: &undoLog) == (1, 1))
    }

    @Test func keysOfRemovedSegmentsAreEvicted() throws {
        // A device's day is dropped when the last segment with one of its keys is removed.
        var ledger = MinuteLedger()
        var undoLog = MinuteLedger.UndoLog()
        let yesterday = try batch([("a", 60, 0), ("b", 60, 0)])
        let today = try batch([("a", 86_400, 0)])
        #expect(ledger.insert(yesterday, in: 1, undoLog: &undoLog) == (2, 0))
        #expect(ledger.insert(today, in: 2, undoLog: &undoLog) == (1, 0))
        // The record of a duplicate holds the key as well.
        #expect(ledger.insert(try batch([("b", 60, 0)]), in: 2, undoLog: &undoLog) == (0, 1))
        let before = ledger.approximateBytes
        ledger.evict(before: 2)
        #expect(ledger.approximateBytes < before && ledger.deviceCount == 2)
        #expect(ledger.insert(today, in: 3, undoLog: &undoLog) == (0, 1))
        #expect(ledger.insert(yesterday, in: 3, undoLog: &undoLog) == (1, 1))
        // Everything is dropped, and freed entries are used again, empty.
        ledger.evict(before: 4)
        #expect(ledger.approximateBytes == 0 && ledger.deviceCount == 0)
        #expect(ledger.insert(yesterday, in: 4, undoLog: &undoLog) == (2, 0))
        #expect(ledger.insert(today, in: 4, undoLog: &undoLog) == (1, 0))
        #expect(ledger.approximateBytes == before)
    }

    /// The pages of a day are in the order of their channels, in whatever order the channels came.
    @Test func channelsOfADayAreInOrderAndEvictedTogether() throws {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3]] {
            var ledger = MinuteLedger()
            var undoLog = MinuteLedger.UndoLog()
            for (index, channel) in order.enumerated() {
                let batch = try batch([("plug", 60, channel), ("plug", 86_400, channel)])
                #expect(ledger.insert(batch, in: 1 + index, undoLog: &undoLog) == (2, 0))
                #expect(ledger.insert(batch, in: 1 + index, undoLog: &undoLog) == (0, 2))
            }
            let number = try #require(ledger.number(known: DeviceID("plug")))
            let found = ledger.newestPages(of: number).map { [Int($0.day), $0.channel] }
            #expect(found == [1, 0].flatMap { day in order.sorted(by: >).map { [day, $0] } })
            // The segment of the last channel keeps the other channels too.
            ledger.evict(before: order.count)
            #expect(Array(ledger.newestPages(of: number)).count == order.count * 2)
            ledger.evict(before: order.count + 1)
            #expect(try ledger.number(known: DeviceID("plug")) == nil && ledger.deviceCount == 0)
            // Pages that are used again are empty.
            let again = try batch(order.map { ("socket", 60, $0) })
            #expect(ledger.insert(again, in: 9, undoLog: &undoLog) == (order.count, 0))
        }
    }

    @Test func keysOfAFailedGroupAreRemoved() throws {
        // Invariant 5: the keys may be sent, and counted, again.
        var ledger = MinuteLedger()
        var kept = MinuteLedger.UndoLog()
        _ = ledger.insert(try batch([("a", 60, 0)]), in: 1, undoLog: &kept)
        var failed = MinuteLedger.UndoLog()
        let group = try batch([("a", 60, 0), ("a", 120, 0)])
        #expect(ledger.insert(group, in: 1, undoLog: &failed) == (1, 1))
        ledger.undo(failed)
        #expect(ledger.insert(group, in: 1, undoLog: &kept) == (1, 1))
        #expect(ledger.insert(group, in: 1, undoLog: &kept) == (0, 2))
    }

    @Test func manyDaysInAnyOrderCountLikeASet() throws {
        // Pseudo-random keys in a fixed sequence, compared with a plain set.
        var ledger = MinuteLedger()
        var undoLog = MinuteLedger.UndoLog()
        var known: Set<[Int]> = []
        var state: UInt64 = 42
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<200 {
            let messages = (0..<50).map { _ in
                (src: "d\(random(3))", timestamp: 60 + random(40) * 86_400 + random(3) * 60, channel: random(4))
            }
            var expected = 0
            for message in messages {
                let key = [
                    message.src.last == "0" ? 0 : message.src.last == "1" ? 1 : 2, message.channel,
                    message.timestamp / 60,
                ]
                if known.insert(key).inserted { expected += 1 }
            }
            #expect(ledger.insert(try batch(messages), in: 1, undoLog: &undoLog) == (expected, 50 - expected))
        }
    }
}

/// Pages that channels share, compared with a plain set.
struct SharedPageTests {
    private let decoder = BatchDecoder()

    /// A message with some channels of a device at a minute since 1970.
    private func batch(_ messages: [(device: String, minute: Int, channels: [Int])]) throws -> Batch {
        let list = messages.map { message in
            let channels = message.channels.map { "\"switch:\($0)\":{\"apower\":1}" }.joined(separator: ",")
            return "{\"src\":\"\(message.device)\",\"timestamp\":\(message.minute * 60),\"params\":{\(channels)}}"
        }
        let body = "{\"messages\":[\(list.joined(separator: ","))]}"
        return try decoder.decode(Array(body.utf8), receivedAt: 1_795_392_000_000)
    }

    private func wholeDay(_ day: Int, of channels: [Int], device: String = "a") throws -> [Batch] {
        try (0..<2).map { half in
            try batch((0..<720).map { (device, day * 1440 + half * 720 + $0, channels) })
        }
    }

    private func insert(_ batches: [Batch], in ledger: inout MinuteLedger) -> Int {
        var undoLog = MinuteLedger.UndoLog()
        return batches.reduce(0) { $0 + ledger.insert($1, in: 1, undoLog: &undoLog).inserted }
    }

    @Test func channelsWithTheSameMinutesShareOnePage() throws {
        var ledger = MinuteLedger()
        #expect(insert([try batch([("a", 1441, [0, 1, 2, 3])])], in: &ledger) == 4)
        let one = ledger.approximateBytes
        #expect(insert([try batch([("a", 1442, [0, 1, 2, 3])])], in: &ledger) == 4)
        #expect(ledger.approximateBytes == one)
        // Now the channels differ.
        #expect(insert([try batch([("a", 1443, [1, 3])])], in: &ledger) == 2)
        #expect(ledger.approximateBytes == one + PagePool.bytes)
        #expect(insert([try batch([("a", 1443, [0, 1, 2, 3])])], in: &ledger) == 2)
        #expect(insert([try batch([("a", 1443, [0, 1, 2, 3]), ("a", 1441, [2])])], in: &ledger) == 0)
        // The next day joins the pages, because they are equal again.
        #expect(insert([try batch([("a", 2880, [0, 1, 2, 3])])], in: &ledger) == 4)
        #expect(ledger.approximateBytes == one + PagePool.bytes + 14)
    }

    @Test func aCompleteDayUsesNoPage() throws {
        var ledger = MinuteLedger()
        #expect(insert(try wholeDay(1, of: [0, 1, 2, 3]), in: &ledger) == 5760)
        #expect(insert(try wholeDay(2, of: [0]) + wholeDay(2, of: [1, 3]), in: &ledger) == 3 * 1440)
        #expect(insert([try batch([("a", 3 * 1440, [0])])], in: &ledger) == 1)
        #expect(ledger.approximateBytes == 3 * 14 + 208 + PagePool.bytes)
        #expect(insert(try wholeDay(1, of: [0, 1, 2, 3]) + wholeDay(2, of: [0, 1, 3]), in: &ledger) == 0)
        // A channel that does not have the whole day.
        #expect(insert([try batch([("a", 2 * 1440 + 5, [1, 2])])], in: &ledger) == 1)
        let minutes = try #require(ledger.minutes(of: [DeviceID("a")], on: 1...3).first)
        #expect((0..<4).map { minutes.minutes(of: $0, in: 0..<4 * 1440).count } == [2881, 2880, 1441, 2880])
        ledger.evict(before: 2)
        #expect(ledger.approximateBytes == 0)
    }

    /// Invariant 5, after pages with keys of a failed group were split, joined or removed.
    @Test func keysOfAFailedGroupAreRemovedFromSharedAndCompletePages() throws {
        var ledger = MinuteLedger()
        let day = try wholeDay(1, of: [0, 1, 2, 3])
        #expect(insert([day[0]], in: &ledger) == 2880)
        var failed = MinuteLedger.UndoLog()
        #expect(ledger.insert(day[1], in: 1, undoLog: &failed) == (2880, 0))
        // The day is complete, so its page is removed.
        #expect(ledger.insert(try batch([("a", 2880, [2]), ("a", 2881, [0, 2])]), in: 1, undoLog: &failed) == (3, 0))
        ledger.undo(failed)
        #expect(insert(day, in: &ledger) == 2880)
        #expect(insert([try batch([("a", 2880, [0, 2]), ("a", 2881, [0, 2])])], in: &ledger) == 4)
        #expect(ledger.counts.counts(of: 2879..<2882) == [4, 2, 2])
    }

    /// Insertions, failures, evictions and a restore in any order give the same counts as a set of keys.
    @Test(arguments: 0..<20) func anyHistoryCountsLikeASet(seed: UInt64) throws {
        var state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var ledger = MinuteLedger()
        var known: Set<[Int]> = []
        for _ in 0..<100 {
            // A few minutes of a few days, or half a day, so that pages become complete.
            var messages: [(device: String, minute: Int, channels: [Int])] = []
            for _ in 0..<random(4) + 1 {
                let (device, day) = (random(2), random(3))
                let channels = (0..<4).filter { _ in random(3) > 0 }
                let minutes = random(3) == 0 ? 720 * random(2)..<720 * (random(2) + 1) : random(1440)..<1441
                for minute in minutes.prefix(random(3) == 0 ? 720 : 3) where minute < 1440 && messages.count < 1000 {
                    messages.append(("\(device)", (day + 1) * 1440 + minute, channels))
                }
            }
            guard !messages.isEmpty else { continue }
            let batch = try batch(messages)
            var now = known
            var new = 0
            for message in messages {
                for channel in message.channels {
                    if now.insert([Int(message.device)!, channel, message.minute]).inserted { new += 1 }
                }
            }
            let growth = ledger.growth(of: batch)
            let before = ledger.approximateBytes
            var undoLog = MinuteLedger.UndoLog()
            #expect(ledger.insert(batch, in: 1, undoLog: &undoLog).inserted == new)
            if growth == .none { #expect(ledger.approximateBytes <= before) }
            if random(4) == 0 { ledger.undo(undoLog) } else { known = now }
        }
        for device in 0..<2 {
            let found = try ledger.minutes(of: [DeviceID("\(device)")], on: 1...3).first
            for channel in 0..<4 {
                let expected = known.filter { $0[0] == device && $0[1] == channel }.map { Int64($0[2]) }.sorted()
                #expect(found?.minutes(of: channel, in: 0..<10_000) ?? [] == expected)
            }
        }
    }

    private func lastSeen(_ ledger: MinuteLedger) -> [String] {
        ledger.lastSeen(from: 0, for: .seconds(60)).found.map {
            "\($0.device) \($0.last.time) \($0.last.missing?.componentName ?? "-") \($0.lastMinute ?? 0)"
        }
    }

    private func message(_ device: String, _ timestamp: Int, _ params: String) throws -> Batch {
        let body = "{\"messages\":[{\"src\":\"\(device)\",\"timestamp\":\(timestamp),\"params\":{\(params)}}]}"
        return try decoder.decode(Array(body.utf8), receivedAt: 1_795_392_000_000)
    }

    @Test func aDeviceWithoutReadingsIsKeptUntilItsLastSegmentIsRemoved() throws {
        var ledger = MinuteLedger()
        var undoLog = MinuteLedger.UndoLog()
        _ = ledger.insert(try message("a", 90, #""pm1:0":{"apower":1}"#), in: 1, undoLog: &undoLog)
        #expect(lastSeen(ledger) == ["a 90 pm1:0 0"] && ledger.deviceCount == 1)
        // A message without power keeps the reason, and a late message keeps the time.
        _ = ledger.insert(try message("a", 60, #""sys":{}"#), in: 1, undoLog: &undoLog)
        #expect(lastSeen(ledger) == ["a 90 pm1:0 0"])
        _ = ledger.insert(try message("a", 150, #""switch:0":{"apower":1}"#), in: 2, undoLog: &undoLog)
        #expect(lastSeen(ledger) == ["a 150 - 2"])
        ledger.evict(before: 2)
        #expect(lastSeen(ledger) == ["a 150 - 2"])
        _ = ledger.insert(try message("a", 200, #""switch:0":{"apower":null}"#), in: 3, undoLog: &undoLog)
        ledger.evict(before: 3)
        #expect(lastSeen(ledger) == ["a 200 switch:0 0"])
        #expect(ledger.minutes(of: [try DeviceID("a")], on: 0...0).map(\.last.time) == [200])
        ledger.evict(before: 4)
        #expect(lastSeen(ledger) == [] && ledger.deviceCount == 0 && ledger.approximateBytes == 0)
        _ = ledger.insert(try message("b", 300, #""sys":{}"#), in: 4, undoLog: &undoLog)
        #expect(lastSeen(ledger) == ["b 300 - 0"])
    }

    @Test func aMessageOfAFailedGroupIsRemoved() throws {
        var ledger = MinuteLedger()
        var (kept, first, second) = (MinuteLedger.UndoLog(), MinuteLedger.UndoLog(), MinuteLedger.UndoLog())
        _ = ledger.insert(try message("a", 60, #""switch:0":{"apower":1}"#), in: 1, undoLog: &kept)
        _ = ledger.insert(try message("a", 150, #""pm1:0":{"apower":1}"#), in: 1, undoLog: &first)
        _ = ledger.insert(try message("a", 300, #""pm1:1":{"apower":1}"#), in: 1, undoLog: &first)
        _ = ledger.insert(try message("b", 300, #""sys":{}"#), in: 1, undoLog: &second)
        _ = ledger.insert(try message("a", 400, #""pm1:2":{"apower":1}"#), in: 1, undoLog: &second)
        for undoLog in [second, first] { ledger.undo(undoLog) }
        #expect(lastSeen(ledger) == ["a 60 - 1"])
        #expect(ledger.minutes(of: [try DeviceID("b")], on: 0...0).isEmpty)
        // The device's number is freed with its segment.
        ledger.evict(before: 2)
        #expect(ledger.deviceCount == 0)
    }

    @Test func aFullLedgerAcceptsItsKnownKeys() throws {
        var ledger = MinuteLedger()
        #expect(insert([try batch([("a", 1441, [0, 1])])], in: &ledger) == 2)
        let bytes = ledger.approximateBytes
        let known = try batch([("a", 1441, [0]), ("a", 1450, [0, 1])])
        let nextDay = try batch([("a", 2880, [0])])
        let another = try batch([("a", 1441, [0]), ("b", 1441, [0])])
        #expect(ledger.growth(of: known) == .none)
        #expect(ledger.growth(of: nextDay) == .pages)
        #expect(ledger.growth(of: try batch([("a", 1450, [0])])) == .pages)
        #expect(ledger.growth(of: another) == .devices)
        // With room, all are accepted; from seven eighths of the limit on, only known devices; at the limit, only keys
        // whose page exists.
        #expect([known, nextDay, another].map { ledger.admits($0, below: bytes * 2) } == [true, true, true])
        #expect([known, nextDay, another].map { ledger.admits($0, below: bytes * 8 / 7) } == [true, true, false])
        #expect([known, nextDay, another].map { ledger.admits($0, below: bytes) } == [true, false, false])
    }
}
