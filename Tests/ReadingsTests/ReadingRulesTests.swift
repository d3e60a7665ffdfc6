import Testing

@testable import Readings

/// Components that become readings, and those that are untaken (invariants 9 and 14).
struct ReadingRulesTests {
    private static let receivedAt: Int64 = 1_795_392_000_000
    private static let timestamp: Int64 = 1_795_392_000 - 600

    private func batch(
        _ params: String, _ components: String = "switch", power: ReadingRules.Power = .sample,
        at timestamp: Int64 = Self.timestamp
    ) throws -> Batch {
        let rules = ReadingRules(components: try #require(ReadingRules.components(named: components)), power: power)
        let body = "{\"messages\":[{\"src\":\"a\",\"timestamp\":\(timestamp),\"params\":{\(params)}}]}"
        return try BatchDecoder(rules: rules).decode(Array(body.utf8), receivedAt: Self.receivedAt)
    }

    private func text(_ batch: Batch) -> [String] {
        batch.readings.map { "\($0.channel): \($0.power) \($0.voltage ?? -1) \($0.current ?? -1)" }
            + batch.faults.map { $0.reason }
            + batch.untaken.map {
                "untaken \($0.component.rawValue)" + ($0.lacking.map { ", add \($0.rawValue)" } ?? "")
            }
    }

    @Test(arguments: [
        (#""pm1:0":{"apower":6,"voltage":230,"current":0.1}"#, "pm1", ["0: 6.0 230.0 0.1"]),
        (#""em1:1":{"act_power":-6,"voltage":230,"current":0.1}"#, "em1", ["1: -6.0 230.0 0.1"]),
        (
            #""em:0":{"a_act_power":1,"a_voltage":231,"b_act_power":2,"b_current":3,"c_act_power":null,"total_act_power":3}"#,
            "em", ["0: 1.0 231.0 -1.0", "1: 2.0 -1.0 3.0"]
        ),
        (
            #""cover:0":{"apower":6},"light:1":{"apower":7},"cct:2":{"apower":8}"#, "all",
            ["0: 6.0 -1.0 -1.0", "1: 7.0 -1.0 -1.0", "2: 8.0 -1.0 -1.0"]
        ),
        (#""rgb:3":{"apower":6},"rgbw:0":{"apower":7}"#, "rgbw,rgb", ["0: 7.0 -1.0 -1.0", "3: 6.0 -1.0 -1.0"]),
        // Untaken.
        (#""switch:0":{"apower":1},"pm1:1":{"apower":6}"#, "switch", ["0: 1.0 -1.0 -1.0", "untaken pm1, add pm1"]),
        (
            #""switch:4":{"apower":1},"em1:0":{"act_power":6},"em:0":{"b_act_power":6}"#, "switch",
            ["untaken switch", "untaken em1, add em1", "untaken em, add em"]
        ),
        (
            #""bm:0":{"apower":1},"pv":{"apower":2},"switch:01":{"apower":3}"#, "all",
            ["untaken other", "untaken other", "untaken switch"]
        ),
        // Adding the component does not help if its channels are already in use.
        (#""switch:0":{"apower":1},"pm1:0":{"apower":2}"#, "switch", ["0: 1.0 -1.0 -1.0", "untaken pm1"]),
        (#""em:1":{"a_act_power":1},"pm1:4":{"apower":2}"#, "switch", ["untaken em", "untaken pm1"]),
        (
            #""switch:1":{"apower":1},"em:0":{"a_act_power":5,"b_act_power":6}"#, "switch",
            ["1: 1.0 -1.0 -1.0", "untaken em, add em"]
        ),
        (
            #""switch:0":{"apower":1},"switch:1":{"apower":2},"switch:2":{"apower":3},"em:0":{"a_act_power":5}"#,
            "switch",
            ["0: 1.0 -1.0 -1.0", "1: 2.0 -1.0 -1.0", "2: 3.0 -1.0 -1.0", "untaken em"]
        ),
        // No power to take.
        (
            #""sys":{"uptime":3},"wifi":{"rssi":-60},"pm1:0":{"voltage":230},"em1:0":{"act_power":null},"x":5,"y":[]"#,
            "switch", []
        ),
        // If two components have the same channel, the first one in the setting gets it.
        (#""switch:0":{"apower":1},"pm1:0":{"apower":2}"#, "switch,pm1", ["0: 1.0 -1.0 -1.0", "untaken pm1"]),
        (#""switch:0":{"apower":1},"pm1:0":{"apower":2}"#, "pm1,switch", ["0: 2.0 -1.0 -1.0", "untaken switch"]),
        (#""switch:0":{"apower":null},"pm1:0":{"apower":2}"#, "switch,pm1", ["0: 2.0 -1.0 -1.0"]),
        // A value of the wrong type is an error of its reading.
        (
            #""pm1:0":{"apower":"6"},"em1:1":{"act_power":{}},"light:2":{"apower":1,"voltage":true}"#, "all",
            ["pm1:0.apower is not a number", "em1:1.act_power is not a number", "light:2.voltage is not a number"]
        ),
        (
            #""em:0":{"a_act_power":"1","b_act_power":2}"#, "em",
            ["1: 2.0 -1.0 -1.0", "em:0.a_act_power is not a number"]
        ),
        // Of members with the same name the last one counts.
        (#""pm1:0":{"apower":6},"pm1:0":{"apower":7}"#, "pm1", ["0: 7.0 -1.0 -1.0"]),
        (#""pm1:0":{"apower":6},"pm1:0":5"#, "pm1", []),
    ])
    func componentsBecomeReadingsByTheRules(params: String, components: String, expected: [String]) throws {
        #expect(text(try batch(params, components)) == expected)
    }

    @Test func theFixNamesTheWholeSetting() {
        #expect(
            ReadingRules.standard.remedy(adding: [.em, .pm1, .em])
                == "set INGEST_COMPONENTS=switch,pm1,em, restart the receiver, then run "
                + "'shelly-loader replay --components switch,pm1,em', which loads the spooled messages")
        // The setting was changed after the messages had arrived.
        let rules = ReadingRules(components: [.pm1, .switch], power: .sample)
        #expect(rules.remedy(adding: [.pm1]).hasPrefix("run 'shelly-loader replay --components pm1,switch'"))
    }

    @Test func powerThatNoSettingTakesHasAReason() {
        #expect(UntakenComponent.ComponentType.other.obstacle == "no setting takes this type of component")
        for type in UntakenComponent.ComponentType.allCases where type != .other {
            #expect(
                type.obstacle.hasPrefix("adding the component does not help, as its channel is above 3 or"), "\(type)")
        }
    }

    @Test func messagesWithoutAReadingAreCounted() throws {
        #expect(try batch(#""pm1:0":{"apower":6}"#).messagesWithoutReadings == 1)
        #expect(try batch(#""switch:0":{"apower":6}"#).messagesWithoutReadings == 0)
        #expect(try batch(#""switch:0":{"apower":"6"}"#).messagesWithoutReadings == 0)
    }

    /// A change feed has many messages with only the power. The device's counters include their energy, so none of it
    /// is missing.
    @Test func withEnergyAMessageWithOnlyPowerIsNotCountedAsWithoutReadings() throws {
        func count(_ params: String, _ power: ReadingRules.Power = .energy) throws -> Int {
            try batch(params, "all", power: power).messagesWithoutReadings
        }
        #expect(try count(#""switch:0":{"apower":6}"#) == 0)
        #expect(try count(#""switch:0":{"apower":6},"pm1:0":{"apower":6}"#) == 0)
        #expect(try count(#""sys":{}"#) == 1)
        #expect(try count(#""switch:0":{"apower":null}"#) == 1)
        #expect(try count(#""switch:0":{"aenergy":{"total":5}}"#, .sample) == 1)
        #expect(try batch(#""switch:4":{"apower":6}"#, power: .energy).messagesWithoutReadings == 1)
    }

    @Test(
        arguments: [
            (#""switch:0":{"apower":5},"pm1:0":{"apower":null}"#, ReadingRules.Power.sample, nil),
            (#""sys":{"uptime":3},"switch:0":{"output":true},"x":5"#, .sample, .init(.noPower)),
            (#""switch:1":{"id":1,"apower":null,"aenergy":{}}"#, .sample, .init(.null, .switch, number: 1)),
            (#""em1:0":{"act_power":null}"#, .sample, .init(.null, .em1, number: 0)),
            (#""em:0":{"a_act_power":null,"b_act_power":null}"#, .sample, .init(.null, .em, number: 0)),
            (#""pm1:0":{"apower":null,"errors":["x"]}"#, .sample, .init(.errors, .pm1, number: 0)),
            (#""pm1:0":{"apower":null,"errors":[]}"#, .sample, .init(.null, .pm1, number: 0)),
            (#""em:0":{"a_errors":["power_meter_failure"]}"#, .sample, .init(.errors, .em, number: 0)),
            (#""switch:0":{},"pm1:0":{"apower":5,"errors":["x"]}"#, .sample, .init(.untaken, .pm1, number: 0)),
            (#""switch:700":{"apower":5}"#, .sample, .init(.untaken, .switch, number: 700)),
            (#""bm:0":{"apower":5}"#, .sample, .init(.untaken, .other, number: 0)),
            (#""switch:2":{"apower":"5"}"#, .sample, .init(.invalid, .switch, number: 2)),
            (
                #""switch:0":{"aenergy":{"total":5}},"temperature:0":{"errors":["x"]}"#, .sample,
                .init(.energyAlone, .switch, number: 0)
            ),
            (#""switch:0":{"aenergy":{"total":5}}"#, .energy, .init(.noPower)),
            (#""switch:0":{"apower":5}"#, .energy, .init(.powerAlone, .switch, number: 0)),
            (#""switch:0":{"apower":5},"switch:1":{"apower":null}"#, .energy, .init(.null, .switch, number: 1)),
        ] as [(String, ReadingRules.Power, MissingReading?)])
    func aMessageWithoutReadingHasAReason(params: String, power: ReadingRules.Power, missing: MissingReading?) throws {
        let batch = try batch(params, power: power)
        #expect(batch.lastMessages == [LastMessage(time: Self.timestamp, missing: missing)])
    }

    @Test func theReasonIsThatOfTheNewestMessageWithPower() {
        let (null, none) = (MissingReading(.null, .switch, number: 0), MissingReading(.noPower))
        func after(_ messages: (Int64, MissingReading?)...) -> LastMessage {
            var last = LastMessage(time: messages[0].0, missing: messages[0].1)
            for message in messages.dropFirst() { last.add(LastMessage(time: message.0, missing: message.1)) }
            return last
        }
        #expect(after((1, nil), (2, null)) == LastMessage(time: 2, missing: null))
        #expect(after((2, null), (1, nil)) == LastMessage(time: 2, missing: null))
        #expect(after((1, null), (2, nil)) == LastMessage(time: 2, missing: nil))
        #expect(after((1, null), (2, none)) == LastMessage(time: 2, missing: null))
        #expect(after((2, none), (1, null)) == LastMessage(time: 2, missing: null))
        #expect(after((1, nil), (2, none)) == LastMessage(time: 2, missing: none))
    }

    @Test func aMessagesTimeIsAtMostItsTimeOfReceipt() throws {
        let body = [("a", 100), ("b", 40), ("a", 60), ("c", Self.receivedAt / 1000 + 3600)].map {
            "{\"src\":\"\($0.0)\",\"timestamp\":\($0.1),\"params\":{}}"
        }
        let batch = try BatchDecoder().decode(
            Array("{\"messages\":[\(body.joined(separator: ","))]}".utf8), receivedAt: Self.receivedAt)
        #expect(batch.lastMessages.map(\.time) == [100, 40, Self.receivedAt / 1000])
    }

    @Test func rulesAreReadBackFromTheirText() {
        #expect(ReadingRules.standard.text == nil)
        #expect(ReadingRules(header: nil) == .standard)
        let rules = ReadingRules(components: [.pm1, .switch], power: .energy)
        #expect(rules.text == "pm1,switch;energy")
        #expect(ReadingRules(header: rules.text) == rules)
        #expect(ReadingRules.components(named: "all") == ReadingRules.Component.allCases)
        #expect(ReadingRules.components(named: " switch ,\tpm1") == [.switch, .pm1])
        for wrong in ["", "switch,", "all,switch", "switch,switch", "meter"] {
            #expect(ReadingRules.components(named: wrong) == nil, "\(wrong)")
        }
        for wrong in ["switch", "switch;", "switch;mean", "switch;sample;1", "x;sample"] {
            #expect(ReadingRules(header: wrong) == nil, "\(wrong)")
        }
    }

    private static let minute = timestamp / 60

    private func energy(_ by: String, _ at: Int64, returned: String? = nil, name: String = "switch:0") -> String {
        let back = returned.map { ",\"ret_aenergy\":{\"by_minute\":\($0),\"minute_ts\":\(at)}" } ?? ""
        return "\"\(name)\":{\"apower\":5,\"voltage\":230,\"aenergy\":{\"by_minute\":\(by),\"minute_ts\":\(at)}\(back)}"
    }

    private func minutes(_ batch: Batch) -> [String] {
        batch.readings.map { "\($0.minute - Self.minute): \($0.channel) \($0.power)" } + batch.faults.map(\.reason)
    }

    @Test func energyGivesTheMeanPowerOfEachWholeMinute() throws {
        let now = Self.minute * 60
        func minutes(_ params: String, at timestamp: Int64 = now) throws -> [String] {
            self.minutes(try batch(params, "all", power: .energy, at: timestamp))
        }
        #expect(try minutes(energy("[1000,500,0]", now)) == ["-3: 0 0.0", "-2: 0 30.0", "-1: 0 60.0"])
        // Older firmware: the time of the last count, within a minute that has not ended.
        #expect(try minutes(energy("[10,500,1000]", now + 13), at: now + 14) == ["-2: 0 60.0", "-1: 0 30.0"])
        // Returned energy is counted in both counters. With separate counters it can be more than the consumed energy.
        #expect(
            try minutes(energy("[1000,1000,0]", now, returned: "[1000,400,500]"))
                == ["-3: 0 -30.0", "-2: 0 12.0", "-1: 0 -60.0"])
        // The minute before midnight, on two channels.
        #expect(
            try minutes(energy("[1000]", now) + "," + energy("[500]", now, name: "switch:1"))
                == ["-1: 0 60.0", "-1: 1 30.0"])
        // Power alone is not the mean of a whole minute. Without counters it is a sample.
        #expect(try minutes(#""switch:0":{"apower":5}"#) == [])
        #expect(try minutes(#""switch:0":{"apower":5,"aenergy":{"total":7}}"#) == ["0: 0 5.0"])
        #expect(try minutes(#""em1:0":{"act_power":5},"cct:1":{"apower":6}"#) == ["0: 0 5.0", "0: 1 6.0"])
        // A clock that is not set, or that differs from the message's time by more than an hour.
        #expect(try minutes(energy("[1000,500,0]", 0)) == ["0: 0 5.0"])
        #expect(try minutes(energy("[1000,500,0]", now - 3660)) == ["0: 0 5.0"])
        #expect(try minutes(energy("[1000,500,0]", now - 3600)).count == 3)
        #expect(try minutes(energy("[1000,\"5\",0]", now)) == ["switch:0.aenergy.by_minute is not a number"])
        // No infinity may get into the database.
        #expect(try minutes(energy("[1e308]", now)) == ["switch:0.aenergy.by_minute is not a number"])
        #expect(try minutes(energy("[1.7e308]", now, returned: "[1.7e308]")).count == 1)
        #expect(try minutes(energy("[]", now)) == [])
        #expect(try minutes(energy("[1,2,3,4,5,6,7,8,9]", now)).count == 3)
    }

    /// The rows of a device's messages in order. The first reading of a minute counts.
    private func rows(_ messages: [(at: Int64, component: String)]) throws -> [Int64: Double] {
        var rows: [Int64: Double] = [:]
        for message in messages {
            let found = try batch("\"switch:0\":{\(message.component)}", power: .energy, at: message.at)
            for reading in found.readings where rows[reading.minute - Self.minute] == nil {
                rows[reading.minute - Self.minute] = reading.power
            }
        }
        return rows
    }

    @Test func aCounterResetOrARestartDistortsNoMinute() throws {
        func at(_ minute: Int64) -> Int64 { (Self.minute + minute) * 60 }
        func frame(_ minute: Int64, total: Double, _ array: String?) -> (Int64, String) {
            let counters = array.map { ",\"by_minute\":\($0),\"minute_ts\":\(at(minute))" } ?? ""
            return (at(minute), "\"aenergy\":{\"total\":\(total)\(counters)}")
        }
        // The total starts again at 0. The counters of the minutes do not depend on it.
        let reset = try rows([
            frame(0, total: 999_999, "[1000,500,250]"), frame(1, total: 0, "[2000,1000,500]"),
        ])
        #expect(reset == [-3: 15, -2: 30, -1: 60, 0: 120])
        // After a restart the array begins with zeros, or is missing until the clock is set. Minutes that already have
        // a row keep it.
        let restart = try rows([
            frame(0, total: 5, "[1000,500,250]"), frame(2, total: 5, "[300,0,0]"), frame(3, total: 5, nil),
            frame(4, total: 6, "[1000,1000,300]"),
        ])
        #expect(restart == [-3: 15, -2: 30, -1: 60, 0: 0, 1: 18, 2: 60, 3: 60])
    }

    /// With any lost frames, up to two in a row, each minute has its row, and the sum of the rows is the energy.
    @Test(arguments: 0..<20) func energyIsCompleteInSpiteOfLostFrames(seed: UInt64) throws {
        var state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        // The time spans a midnight.
        let first = Self.minute / 1440 * 1440 - 60
        let consumed = (0..<120).map { _ in Double(random(50_000)) }
        var rows: [Int64: Double] = [:]
        var lost = 0
        for index in 1...consumed.count {
            if index < consumed.count, lost < 2, random(2) == 0 {
                lost += 1
                continue
            }
            lost = 0
            let array = (1...min(3, index)).map { "\(consumed[index - $0])" }.joined(separator: ",")
            let at = (first + Int64(index)) * 60
            let found = try batch(energy("[\(array)]", at), power: .energy, at: at)
            for reading in found.readings where rows[reading.minute] == nil { rows[reading.minute] = reading.power }
        }
        #expect(rows.keys.sorted() == Array(first..<first + 120))
        let sum = rows.values.reduce(0, +) / 60
        #expect(abs(sum - consumed.reduce(0, +) / 1000) < 1e-6)
    }
}
