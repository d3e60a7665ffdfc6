import Foundation
import Seeds
import Spool
import Testing

@testable import Readings

/// For any body the decoder ends, returns the same result each time, and accepts nothing that cannot be stored
/// (invariants 9 and 11).
struct BatchDecoderFuzzTests {
    private typealias Finding = Fuzzing.Finding

    private static let receivedAt: Int64 = 1_795_392_000_000

    /// A result of the decoder that can be compared.
    private struct Verdict: Equatable {
        var problem: InvalidInput?
        var messageCount = 0
        var devices: [DeviceID] = []
        var readings: [Reading] = []
        var faults: [ReadingFault] = []
        var invalid: [InvalidMessage] = []
        /// The invalid and faulty messages, as a dead letter keeps them.
        var texts: [Int: String] = [:]
    }

    @Test func everyBodyHasTheSameResultEachTimeWithinBounds() throws {
        let decoder = BatchDecoder()
        var previous: [UInt8] = []
        try Fuzzing.run("decoder") { seed in
            var generator = BodyGenerator(random: SeededGenerator(seed: seed))
            var (tokens, readings) = generator.batch()
            let mutations = Int.random(in: 0...3, using: &generator.random)
            for _ in 0..<mutations where generator.random.oneIn(2) { generator.mutate(&tokens) }
            var body = generator.text(tokens)
            let isValid = mutations == 0
            for _ in 0..<mutations { _ = generator.random.mutate(&body) }

            let verdict = judge(body, decoder)
            _ = judge(previous, decoder)
            previous = body
            guard judge(body, decoder) == verdict, judge(body, BatchDecoder()) == verdict else {
                throw Finding(message: "the same body has different results (invariant 9)", input: body)
            }
            do {
                try checkBounds(of: verdict)
                try checkSyntax(of: body, verdict)
                if verdict.problem == nil {
                    try checkSpooled(body, verdict, decoder)
                    try checkLetters(verdict, decoder)
                }
                if isValid { try check(verdict, against: readings) }
            } catch let objection as Objection {
                throw Finding(message: objection.message, input: body)
            }
        }
    }

    private struct Objection: Error {
        let message: String
        init(_ message: String) { self.message = message }
    }

    private func judge(_ body: [UInt8], _ decoder: BatchDecoder) -> Verdict {
        do throws(InvalidInput) {
            let batch = try decoder.decode(body, receivedAt: Self.receivedAt)
            let faulty = Set(batch.invalid.map(\.index) + batch.faults.map(\.message))
            let texts = faulty.map { ($0, decoder.text(ofMessage: $0, in: body) ?? "") }
            return Verdict(
                messageCount: batch.messageCount, devices: batch.devices, readings: batch.readings,
                faults: batch.faults, invalid: batch.invalid, texts: Dictionary(uniqueKeysWithValues: texts))
        } catch {
            return Verdict(problem: error)
        }
    }

    private func checkBounds(of verdict: Verdict) throws {
        let problems = (verdict.problem.map { [$0] } ?? []) + verdict.invalid.flatMap(\.problems)
        for text in problems.map(\.message) + verdict.faults.map(\.reason)
        where text.contains(BodyGenerator.secret) || text.utf8.count > 120
            || !text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 })
        {
            throw Objection("a problem contains bytes of the client: \(text)")
        }
        if verdict.problem != nil { return }
        guard 1...BatchDecoder.maximumMessages ~= verdict.messageCount else {
            throw Objection("message count \(verdict.messageCount) is out of bounds")
        }
        guard Set(verdict.devices).count == verdict.devices.count else { throw Objection("a device is listed twice") }
        for device in verdict.devices {
            guard 1...DeviceID.maximumBytes ~= device.utf8.count, String(validating: device.utf8, as: UTF8.self) != nil,
                !device.description.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
            else { throw Objection("device \(device) is not a valid name") }
        }
        for reading in verdict.readings {
            guard verdict.devices.indices.contains(reading.device), 0..<verdict.messageCount ~= reading.message,
                0...3 ~= reading.channel, 1...(Self.receivedAt / 1000 + 86_400) ~= reading.timestamp
            else { throw Objection("\(reading) is out of bounds") }
            for value in [reading.power, reading.voltage, reading.current] where value?.isFinite == false {
                throw Objection("\(reading) is not finite")
            }
            let key = IdempotencyKey.text(
                device: verdict.devices[reading.device], channel: reading.channel, minute: reading.minute)
            guard key.utf8.count <= 160, key.hasSuffix("_\(reading.channel)_\(reading.timestamp / 60)") else {
                throw Objection("key \(key) is not of this reading, or too long")
            }
        }
        let invalid = verdict.invalid.map(\.index)
        guard invalid == Set(invalid).sorted(), invalid.allSatisfy({ $0 < verdict.messageCount }),
            verdict.invalid.allSatisfy({ !$0.problems.isEmpty }),
            Set(invalid).isDisjoint(with: verdict.readings.map(\.message) + verdict.faults.map(\.message))
        else { throw Objection("invalid messages \(invalid) are not in order, or have readings or no problem") }
    }

    /// The parser, the scanner that locates errors and Foundation agree on whether a text is JSON, as far as Foundation
    /// follows RFC 8259.
    private func checkSyntax(of body: [UInt8], _ verdict: Verdict) throws {
        let isRefused = verdict.problem?.type == "json_invalid"
        var body = body
        if !isRefused, replacePythonTokens(in: &body) {
            let isInvalid = verdict.invalid.contains { $0.problems.contains { $0.type == "json_invalid" } }
            guard verdict.problem != nil || isInvalid else {
                throw Objection("a message with a number that JSON does not have is not invalid")
            }
        }
        let fault = firstError(in: body)
        guard isRefused == (fault != nil) else {
            throw Objection("parser: \(isRefused ? "no JSON" : "JSON"), scanner: \(fault.map { "\($0)" } ?? "JSON")")
        }
        let foundation = (try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)) != nil
        guard foundation == isRefused else { return }
        // Three known differences: the decoder's own bounds, a comma after the last member, and the encoding that
        // Foundation guesses.
        if let fault, fault.expected.contains("nesting") || fault.expected.contains("hold") { return }
        if let fault, fault.offset < body.count, "}]".utf8.contains(body[fault.offset]) { return }
        if body.prefix(4).contains(0) || body.starts(with: [0xEF, 0xBB, 0xBF]) || body.starts(with: [0xFE, 0xFF])
            || body.starts(with: [0xFF, 0xFE])
        {
            return
        }
        throw Objection("Foundation: \(foundation ? "JSON" : "no JSON"), scanner: \(fault.map { "\($0)" } ?? "JSON")")
    }

    /// Replaces the tokens of Python that a body may contain with zeros and spaces. Returns whether one of them was a
    /// number that JSON does not have.
    private func replacePythonTokens(in body: inout [UInt8]) -> Bool {
        if body.starts(with: [0xEF, 0xBB, 0xBF]) { body.replaceSubrange(..<3, with: "   ".utf8) }
        var hasNumbers = false
        // A scan for each token, because only the error's offset locates a number: for "-Infinity" it is that of the
        // "I".
        while let fault = firstError(in: body)?.offset,
            let word = ["NaN", "Infinity"].first(where: { body[fault...].starts(with: $0.utf8) })
        {
            body.replaceSubrange(fault..<fault + word.utf8.count, with: "0       ".utf8.prefix(word.utf8.count))
            hasNumbers = true
        }
        return hasNumbers
    }

    private func firstError(in body: [UInt8]) -> JSONSyntax.SyntaxError? {
        body.withUnsafeBytes { JSONSyntax.firstError(in: $0, maximumDepth: BatchDecoder.maximumDepth) }
    }

    /// Line breaks are removed before a body is spooled. The spooled body must have the same result.
    private func checkSpooled(_ body: [UInt8], _ verdict: Verdict, _ decoder: BatchDecoder) throws {
        var spooled = body[...]
        NewRecord.removeLineBreaks(in: &spooled)
        guard !spooled.contains(UInt8(ascii: "\n")), judge(Array(spooled), decoder) == verdict else {
            throw Objection("the spooled body has another result")
        }
    }

    /// A message in a dead letter has the same result as in its body. A number that JSON does not have is a string
    /// there, so the dead letter is JSON.
    private func checkLetters(_ verdict: Verdict, _ decoder: BatchDecoder) throws {
        let foreign = Set(
            verdict.invalid.filter { $0.problems.contains { $0.type == "json_invalid" } }.map(\.index))
        for index in foreign where firstError(in: Array(verdict.texts[index, default: ""].utf8)) != nil {
            throw Objection("message \(index) is not JSON in its dead letter: \(verdict.texts[index, default: ""])")
        }
        for (index, text) in verdict.texts where !foreign.contains(index) {
            let again = judge(Array("{\"messages\":[\(text)]}".utf8), decoder)
            guard again.problem == nil, again.readings.count == verdict.readings.count(where: { $0.message == index }),
                zip(again.readings, verdict.readings.filter { $0.message == index }).allSatisfy({ a, b in
                    a.timestamp == b.timestamp && a.power == b.power && a.voltage == b.voltage && a.current == b.current
                }),
                again.faults.map(\.reason) == verdict.faults.filter({ $0.message == index }).map(\.reason),
                again.invalid.map(\.reason) == verdict.invalid.filter({ $0.index == index }).map(\.reason)
            else { throw Objection("message \(index) has another result in its dead letter: \(text)") }
        }
    }

    private func check(_ verdict: Verdict, against expected: [BodyGenerator.Expected]) throws {
        let found = verdict.readings.map { reading in
            BodyGenerator.Expected(
                device: verdict.devices[reading.device].description, timestamp: reading.timestamp,
                channel: reading.channel, power: reading.power, voltage: reading.voltage, current: reading.current)
        }
        guard verdict.problem == nil, verdict.invalid.isEmpty, verdict.faults.isEmpty, found == expected else {
            throw Objection("a valid batch has the result \(verdict)")
        }
    }
}
