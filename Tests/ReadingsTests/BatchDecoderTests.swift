import Testing

@testable import Readings

/// Validation is a pure function of the body and the time of receipt (invariant 9): tables of bodies and their results.
struct BatchDecoderTests {
    /// 2026-11-23T00:00:00Z in milliseconds.
    static let receivedAt: Int64 = 1_795_392_000_000

    private func decode(_ body: String) throws -> Batch {
        try BatchDecoder().decode(Array(body.utf8), receivedAt: Self.receivedAt)
    }

    private func message(_ src: String = #""plug""#, _ time: String = "1732320000", _ params: String = "{}") -> String {
        "{\"src\":\(src),\"timestamp\":\(time),\"params\":\(params)}"
    }

    private func batch(_ messages: String...) -> String { "{\"messages\":[\(messages.joined(separator: ","))]}" }

    @Test(arguments: [
        ("", "json_invalid"), ("{", "json_invalid"), ("nonsense", "json_invalid"), ("[]", "dict_type"),
        ("3", "dict_type"), ("{}", "missing"), (#"{"messages":{}}"#, "list_type"), (#"{"messages":[]}"#, "value_error"),
        (#"{"messages":[1e999]}"#, "json_invalid"), (#"{"messages":[{}],"x":NaN}"#, "json_invalid"),
        (#"{"messages":["\ud800"]}"#, "json_invalid"), ("\u{FEFF}{}", "missing"), ("\u{FEFF}", "json_invalid"),
    ])
    func bodyIsRefusedAsAWhole(body: String, type: String) {
        let problem = #expect(throws: InvalidInput.self) { try decode(body) }
        #expect(problem?.type == type)
    }

    @Test(arguments: [
        (#"{"messages":[1,}"#, 15), (#"{"a" 1}"#, 5), ("[1 2]", 3), (#"{"a":"b"#, 7), (#"["\q"]"#, 3),
        (#"[1,1e999]"#, 3), (#"["\ud800"]"#, 2), ("[\"a\nb\"]", 3), ("[01]", 2), ("[1.]", 3), ("[tru]", 4),
        ("[1\(String(repeating: "0", count: 400))]", 1),
    ])
    func invalidJSONIsNamedByItsByte(body: String, offset: Int) {
        let problem = #expect(throws: InvalidInput.self) { try decode(body) }
        #expect(problem?.location == [.member("body"), .index(offset)])
    }

    @Test func invalidUTF8IsNamedByItsByte() {
        let body = Array("[\"a".utf8) + [0xFF] + Array("\"]".utf8)
        let problem = #expect(throws: InvalidInput.self) {
            try BatchDecoder().decode(body, receivedAt: Self.receivedAt)
        }
        #expect(problem?.location == [.member("body"), .index(3)])
    }

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int) -> String {
            // The body, the list, the message and `params` are four levels.
            batch(
                message(
                    params: String(repeating: "{\"a\":", count: depth - 4) + "{\"b\":1}"
                        + String(repeating: "}", count: depth - 4)))
        }
        #expect(try decode(nested(BatchDecoder.maximumDepth - 1)).invalid.isEmpty)
        let problem = #expect(throws: InvalidInput.self) { try decode(nested(BatchDecoder.maximumDepth + 1)) }
        #expect(problem?.message.contains("at most 64 levels") == true)
    }

    private func message(params: String) -> String { message(#""plug""#, "1732320000", params) }

    @Test func aThousandMessagesAreAcceptedAndOneMoreIsNot() throws {
        let thousand = Array(repeating: message(), count: 1000).joined(separator: ",")
        #expect(try decode("{\"messages\":[\(thousand)]}").messageCount == 1000)
        let problem = #expect(throws: InvalidInput.self) { try decode("{\"messages\":[\(thousand),{}]}") }
        #expect(problem?.message == "Batch too large (max 1000)")
    }

    @Test(arguments: [
        (#"" ""#, "Device ID cannot be empty"), (#""""#, "Device ID cannot be empty"),
        ("7", "src: Input should be a valid string"), ("null", "src: Input should be a valid string"),
        (#""a\u0000b""#, "Device ID must not contain control characters or line separators"),
        (#""a\nb""#, "Device ID must not contain control characters or line separators"),
        (#""a\u0085b""#, "Device ID must not contain control characters or line separators"),
        (#""a\u2028b""#, "Device ID must not contain control characters or line separators"),
        ("\"" + String(repeating: "x", count: 9000) + "\"", "Device ID too long (max 128 bytes of UTF-8)"),
        ("\"" + String(repeating: "é", count: 65) + "\"", "Device ID too long (max 128 bytes of UTF-8)"),
    ])
    func sourceIsRefused(src: String, reason: String) throws {
        let invalid = try decode(batch(message(src))).invalid
        #expect(invalid.map(\.reason) == [reason])
        #expect(invalid[0].problems[0].location == [.member("body"), .member("messages"), .index(0), .member("src")])
    }

    @Test(arguments: [
        (#"" plug ""#, "plug"), (#""\tplug\n""#, "plug"), (#""\u00a0plug\u3000""#, "plug"),
        ("\"" + String(repeating: "é", count: 64) + "\"", String(repeating: "é", count: 64)), (#""a b""#, "a b"),
        // Three of their four bytes are like those of U+1680 and U+2000.
        ("\"\u{5A000} \"", "\u{5A000}"), ("\" \u{52000}\"", "\u{52000}"),
    ])
    func sourceIsTrimmed(src: String, name: String) throws {
        #expect(try decode(batch(message(src))).devices.map(\.description) == [name])
    }

    @Test func namesAreEqualByTheirBytes() throws {
        let devices = try decode(batch(message("\"\u{E9}\""), message("\"e\u{301}\""))).devices
        #expect(devices.count == 2)
    }

    @Test(arguments: [
        ("0", "Invalid timestamp"), ("-1", "Invalid timestamp"), ("0.9", "Invalid timestamp"),
        ("1795478401", "Invalid timestamp"), ("1e300", "looks like milliseconds"),
        ("1732320000000", "looks like milliseconds"), ("true", "expected a number"),
        (#""1732320000""#, "expected a number"),
        ("null", "expected a number"),
    ])
    func timestampIsRefused(time: String, reason: String) throws {
        let invalid = try decode(batch(message(#""plug""#, time))).invalid
        #expect(invalid.count == 1)
        #expect(invalid[0].reason.hasPrefix("Invalid timestamp") && invalid[0].reason.contains(reason))
    }

    @Test(arguments: [
        ("1", Int64(1)), ("1732320000.99", 1_732_320_000), ("1.73232e9", 1_732_320_000), ("1795478400", 1_795_478_400),
    ])
    func timestampIsFloored(time: String, seconds: Int64) throws {
        let readings = try decode(batch(message(#""plug""#, time, #"{"switch:0":{"apower":1}}"#))).readings
        #expect(readings.map(\.timestamp) == [seconds])
    }

    @Test func missingFieldsAreAllNamed() throws {
        let invalid = try decode(#"{"messages":[{},3]}"#).invalid
        #expect(
            invalid.map(\.reason) == [
                "src: Field required; timestamp: Field required; params: Field required",
                "Input should be a valid object",
            ])
    }

    @Test(arguments: [
        (#"{"switch:0":{"apower":8.9,"voltage":231.2,"current":0.04}}"#, "0 8.9 231.2 0.04"),
        (#"{"switch:0":{"apower":-220}}"#, "0 -220.0 - -"),
        (#"{"switch:0":{"apower":18446744073709551615}}"#, "0 1.8446744073709552e+19 - -"),
        (#"{"switch:0":{"apower":18446744073709551616},"x":[-99999999999999999999]}"#, "0 1.8446744073709552e+19 - -"),
        (
            #"{"switch:0":{"apower":123456789012345678901,"voltage":"\"100000000000000000000"}}"#,
            "switch:0.voltage is not a number"
        ),
        (
            #"{"switch:0":{"apower":-9223372036854775809,"voltage":-9223372036854775808}}"#,
            "0 -9.223372036854776e+18 -9.223372036854776e+18 -"
        ),
        (#"{"switch:3":{"apower":0,"voltage":null}}"#, "3 0.0 - -"),
        (#"{"switch:0":{"apower":1},"switch:0":{"apower":2}}"#, "0 2.0 - -"),
        (#"{"switch:0":{"apower":"x","apower":2}}"#, "0 2.0 - -"),
        (#"{"\u0073witch:1":{"apower":1}}"#, "1 1.0 - -"),
        (#"{"switch:4":{"apower":1}}"#, ""), (#"{"switch:0":{}}"#, ""), (#"{"switch:0":[1]}"#, ""),
        (#"{"switch:0":{"apower":null}}"#, ""), (#"{"switch:0":{"voltage":230}}"#, ""), (#"{"switch:0":null}"#, ""),
        (#"{"switch:0":{"apower":"8.9"}}"#, "switch:0.apower is not a number"),
        (#"{"switch:0":{"apower":true}}"#, "switch:0.apower is not a number"),
        (#"{"switch:2":{"apower":{}}}"#, "switch:2.apower is not a number"),
        (#"{"switch:0":{"apower":1,"voltage":"x"}}"#, "switch:0.voltage is not a number"),
        (#"{"switch:0":{"apower":1,"current":false}}"#, "switch:0.current is not a number"),
    ])
    func paramsBecomeReadings(params: String, expected: String) throws {
        let batch = try decode(batch(message(params: params)))
        let readings = batch.readings.map { reading in
            let rest = [reading.voltage, reading.current].map { $0.map { "\($0)" } ?? "-" }
            return (["\(reading.channel)", "\(reading.power)"] + rest).joined(separator: " ")
        }
        #expect((readings + batch.faults.map(\.reason)).joined(separator: "|") == expected)
        #expect(batch.invalid.isEmpty)
    }

    @Test func aFaultyReadingDoesNotAffectTheOthers() throws {
        let batch = try decode(
            batch(
                message(params: #"{"switch:0":{"apower":1},"switch:1":{"apower":"x"},"switch:2":{"apower":3}}"#),
                message()))
        #expect(batch.readings.map(\.channel) == [0, 2])
        #expect(
            batch.faults == [
                ReadingFault(
                    message: 0, device: 0, component: .switch, channel: 1, timestamp: 1_732_320_000, field: "apower")
            ]
        )
    }

    @Test func keyIsSourceChannelAndMinute() throws {
        let device = try DeviceID("shelly_1")
        #expect(IdempotencyKey.text(device: device, channel: 3, minute: 28_872_000) == "shelly_1_3_28872000")
        #expect(IdempotencyKey.text(device: device, channel: 0, minute: 0) == "shelly_1_0_0")
    }

    @Test func theTextOfAMessageIsKeptOnOneLine() throws {
        let decoder = BatchDecoder()
        let body = Array(
            "{\"messages\":[\(message()) ,\n{\"src\":\"\\u0001\\\"é\\n\",\r\n\"n\":[1,-2.50,true],\"params\":[]}\n]}"
                .utf8)
        _ = try decoder.decode(body, receivedAt: Self.receivedAt)
        #expect(decoder.text(ofMessage: 0, in: body) == message())
        #expect(decoder.text(ofMessage: 1, in: body) == #"{"src":"\u0001\"é\n",  "n":[1,-2.50,true],"params":[]}"#)
        #expect(decoder.text(ofMessage: 2, in: body) == nil)
    }

    @Test func aLargeBodyDoesNotAffectTheNextOne() throws {
        let decoder = BatchDecoder()
        let large = batch(message(params: "{\"x\":\"" + String(repeating: "y", count: 3 << 20) + "\"}"))
        for body in [large, batch(message()), large] {
            #expect(try decoder.decode(Array(body.utf8), receivedAt: Self.receivedAt).messageCount == 1)
        }
    }

    /// Python writes NaN and Infinity. A message with one of them is invalid, and the other messages are not.
    @Test func nonFiniteNumbersMakeOnlyTheirMessageInvalid() throws {
        func message(_ power: String) -> String {
            #"{"src":"NaN \" Infinity","timestamp":60,"params":{"switch:0":{"apower":\#(power)}}}"#
        }
        for word in ["NaN", "Infinity", "-Infinity"] {
            let body = Array("\u{FEFF}{\"messages\":[\(message("1")),\n\(message(word)),\(message("2"))]}".utf8)
            let decoder = BatchDecoder()
            let batch = try decoder.decode(body, receivedAt: 1_795_392_000_000)
            #expect(batch.readings.map(\.message) == [0, 2] && batch.messageCount == 3)
            #expect(batch.invalid.map(\.index) == [1])
            #expect(batch.invalid.first?.problems.first?.location == [.member("body"), .member("messages"), .index(1)])
            // The message is JSON in its dead letter.
            #expect(decoder.text(ofMessage: 1, in: body) == message("\"\(word)\""))
        }
        let marked = try BatchDecoder().decode(
            Array("\u{FEFF}{\"messages\":[\(message("1"))]}".utf8), receivedAt: 1_795_392_000_000)
        #expect(marked.readings.count == 1 && marked.invalid.isEmpty)
        for wrong in [
            "{\"messages\":[\(message("1"))],\"x\":NaN}", "NaN", "{\"messages\":[NaN1]}",
            "{\"messages\":[\(message("nan"))]}", "{\"messages\":[{NaN \n:1}]}",
            "{\"messages\":[{\"x\":{-Infinity:1}}]}",
        ] {
            #expect(throws: InvalidInput.self) {
                try BatchDecoder().decode(Array(wrong.utf8), receivedAt: 1_795_392_000_000)
            }
        }
        // Alone in the list, each of them is an invalid message.
        let alone = Array("{\"messages\":[NaN,-Infinity]}".utf8)
        let decoder = BatchDecoder()
        #expect(try decoder.decode(alone, receivedAt: 0).invalid.count == 2)
        #expect((0..<2).map { decoder.text(ofMessage: $0, in: alone) } == ["\"NaN\"", "\"-Infinity\""])
    }
}
