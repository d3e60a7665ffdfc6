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
        var claims = MinuteLedger.Claims()
        let counts = ledger.claim(
            try batch([("a", 60, 0), ("a", 119, 0), ("a", 120, 0), ("a", 60, 1), ("b", 60, 0)]), in: 1, noting: &claims)
        #expect(counts == (4, 1))
        #expect(ledger.claim(try batch([("a", 100, 0), ("b", 180, 0)]), in: 1, noting: &claims) == (1, 1))
    }

    @Test func whatTheSpoolNoLongerHoldsIsForgotten() throws {
        // A device's day goes when the last segment that had to do with it is gone.
        var ledger = MinuteLedger()
        var claims = MinuteLedger.Claims()
        let yesterday = try batch([("a", 60, 0), ("b", 60, 0)])
        let today = try batch([("a", 86_400, 0)])
        #expect(ledger.claim(yesterday, in: 1, noting: &claims) == (2, 0))
        #expect(ledger.claim(today, in: 2, noting: &claims) == (1, 0))
        // A duplicate's record holds the key as well.
        #expect(ledger.claim(try batch([("b", 60, 0)]), in: 2, noting: &claims) == (0, 1))
        let before = ledger.approximateBytes
        ledger.forget(before: 2)
        #expect(ledger.approximateBytes < before && ledger.deviceCount == 2)
        #expect(ledger.claim(today, in: 3, noting: &claims) == (0, 1))
        #expect(ledger.claim(yesterday, in: 3, noting: &claims) == (1, 1))
        // All of it, and what was freed is used again, empty.
        ledger.forget(before: 4)
        #expect(ledger.approximateBytes == 0 && ledger.deviceCount == 0)
        #expect(ledger.claim(yesterday, in: 4, noting: &claims) == (2, 0))
        #expect(ledger.claim(today, in: 4, noting: &claims) == (1, 0))
        #expect(ledger.approximateBytes == before)
    }

    /// A day's pages follow each other by channel, whichever came first.
    @Test func channelsOfADayAreInOrderAndForgottenTogether() throws {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3]] {
            var ledger = MinuteLedger()
            var claims = MinuteLedger.Claims()
            for (index, channel) in order.enumerated() {
                let batch = try batch([("plug", 60, channel), ("plug", 86_400, channel)])
                #expect(ledger.claim(batch, in: 1 + index, noting: &claims) == (2, 0))
                #expect(ledger.claim(batch, in: 1 + index, noting: &claims) == (0, 2))
            }
            let number = try #require(ledger.number(known: DeviceID("plug")))
            let found = ledger.newestPages(of: number).map { [Int($0.day), $0.channel] }
            #expect(found == [1, 0].flatMap { day in order.sorted(by: >).map { [day, $0] } })
            // The last channel's segment keeps the others.
            ledger.forget(before: order.count)
            #expect(Array(ledger.newestPages(of: number)).count == order.count * 2)
            ledger.forget(before: order.count + 1)
            #expect(try ledger.number(known: DeviceID("plug")) == nil && ledger.deviceCount == 0)
            // Pages that are used again are empty.
            let again = try batch(order.map { ("socket", 60, $0) })
            #expect(ledger.claim(again, in: 9, noting: &claims) == (order.count, 0))
        }
    }

    @Test func aFailedGroupIsForgotten() throws {
        // Invariant 5: the keys may be sent, and counted, again.
        var ledger = MinuteLedger()
        var kept = MinuteLedger.Claims()
        _ = ledger.claim(try batch([("a", 60, 0)]), in: 1, noting: &kept)
        var failed = MinuteLedger.Claims()
        let group = try batch([("a", 60, 0), ("a", 120, 0)])
        #expect(ledger.claim(group, in: 1, noting: &failed) == (1, 1))
        ledger.forget(failed)
        #expect(ledger.claim(group, in: 1, noting: &kept) == (1, 1))
        #expect(ledger.claim(group, in: 1, noting: &kept) == (0, 2))
    }

    @Test func manyDaysInAnyOrderAreTheSameAsASet() throws {
        // A fixed sequence of pseudo-random keys, against the obvious implementation.
        var ledger = MinuteLedger()
        var claims = MinuteLedger.Claims()
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
            #expect(ledger.claim(try batch(messages), in: 1, noting: &claims) == (expected, 50 - expected))
        }
    }

    @Test func aDayOfADevicesChannelTakesAtMost200Bytes() throws {
        var ledger = MinuteLedger()
        var claims = MinuteLedger.Claims()
        for day in 0..<14 {
            for channel in 0..<4 {
                let messages = (0..<100).map { (src: "device-\($0)", timestamp: 60 + day * 86_400, channel: channel) }
                _ = ledger.claim(try batch(messages), in: 1, noting: &claims)
            }
        }
        #expect(ledger.approximateBytes / (100 * 4 * 14) <= 200)
    }
}
