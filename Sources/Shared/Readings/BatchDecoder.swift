// Readings: a body's bytes to validated readings, as a pure function.
// Begin here.
// Uses nothing else.

/// Decodes and validates a body, as a pure function of the body, the time of receipt and the reading rules.
///
/// There is no other input: no clock, no locale, no configuration. So the receiver, the loader and a replay years later
/// get the same result for a body. One owner at a time uses a decoder, and reuses it for its buffers.
public final class BatchDecoder {
    /// Number of bytes that must be readable after a body. Their values do not matter.
    public static let padding = JSONParser.padding
    /// The largest number of messages in a batch.
    public static let maximumMessages = 1000
    /// The deepest nesting of objects and arrays in a body.
    public static let maximumDepth = 64

    /// Larger buffers are freed after the body that needed them. An ordinary batch has 10 to 200 kB.
    private static let keptCapacityBytes = 1 << 20
    private static let secondsAhead: Int64 = 86_400
    /// As seconds, this value is in the year 5138. As milliseconds, values from here on are in 1973 and later.
    private static let looksLikeMilliseconds = 1e11

    private let parser = JSONParser(maximumDepth: maximumDepth)
    /// Byte ranges of the last batch's messages in its body.
    private var ranges: [Range<Int>] = []
    /// Byte ranges of numbers in its body that JSON does not have, such as NaN; in order.
    private var foreignNumbers: [Range<Int>] = []
    /// For each message the index of its first foreign number, if it has one.
    private var firstForeignNumbers: [Int] = []
    /// Whether a foreign number is in no message.
    private var hasForeignNumberOutside = false

    /// The rules for the bodies that follow.
    public var rules: ReadingRules {
        didSet { slots = ComponentSlots(rules) }
    }
    private var slots: ComponentSlots

    public init(rules: ReadingRules = .standard) {
        self.rules = rules
        slots = ComponentSlots(rules)
    }

    /// Decodes and validates `body`, after which `padding` more bytes must be readable.
    ///
    /// - Parameters:
    ///   - body: JSON text in UTF-8.
    ///   - receivedAt: time of receipt, Unix milliseconds. A message's timestamp may be at most a day later.
    /// - Returns: the batch with its valid readings, and the problems of single messages and readings.
    /// - Throws: the `InvalidInput` for which the whole body is rejected.
    public func decode(_ body: UnsafeRawBufferPointer, receivedAt: Int64) throws(InvalidInput) -> Batch {
        foreignNumbers = []
        parser.shrink(to: max(Self.keptCapacityBytes, body.count))
        let root: JSONValue
        do throws(JSONParser.Failure) {
            root = try parser.parse(body)
        } catch {
            guard error == .invalid, let tokens = PythonTokens(in: body, padding: Self.padding) else {
                throw Self.problem(of: error, in: body)
            }
            return try decode(tokens, of: body, receivedAt: receivedAt)
        }
        return try assemble(root, receivedAt: receivedAt)
    }

    /// Decodes a body with such tokens. Messages with a number that is none are invalid, and the others are not.
    private func decode(
        _ tokens: PythonTokens, of body: UnsafeRawBufferPointer, receivedAt: Int64
    ) throws(InvalidInput) -> Batch {
        foreignNumbers = tokens.numbers
        let result = tokens.bytes.withUnsafeBytes { bytes in
            Result { () throws(InvalidInput) in
                let text = UnsafeRawBufferPointer(rebasing: bytes[..<body.count])
                let root: JSONValue
                do throws(JSONParser.Failure) { root = try parser.parse(text) } catch {
                    throw Self.problem(of: error, in: body)
                }
                return try assemble(root, receivedAt: receivedAt)
            }
        }
        let batch = try result.get()
        // It belongs to no message that could be set aside.
        guard !hasForeignNumberOutside else { throw Self.problem(of: .invalid, in: body) }
        return batch
    }

    private func assemble(_ root: JSONValue, receivedAt: Int64) throws(InvalidInput) -> Batch {
        ranges.removeAll(keepingCapacity: true)
        firstForeignNumbers.removeAll(keepingCapacity: true)
        guard root.isObject else {
            throw InvalidInput("dict_type", at: [.member("body")], "Input should be a valid object")
        }
        var found: JSONValue?
        root.forEachMember { name, value in if name.equals("messages") { found = value } }
        let location: [InvalidInput.Step] = [.member("body"), .member("messages")]
        guard let found else { throw InvalidInput("missing", at: location, "Field required") }
        guard found.isArray else { throw InvalidInput("list_type", at: location, "Input should be a valid array") }
        let count = found.elementCount(upTo: Self.maximumMessages + 1)
        guard count > 0 else { throw InvalidInput("value_error", at: location, "Batch cannot be empty") }
        guard count <= Self.maximumMessages else {
            throw InvalidInput("value_error", at: location, "Batch too large (max \(Self.maximumMessages))")
        }

        var assembly = Assembly(
            rules: rules, slots: slots, latest: receivedAt / 1000 + Self.secondsAhead, messageCount: count)
        // Messages and foreign numbers are in the order of the body.
        var number = 0
        hasForeignNumberOutside = false
        found.forEachElement { message in
            let range = message.range
            ranges.append(range)
            while number < foreignNumbers.count, foreignNumbers[number].lowerBound < range.lowerBound {
                hasForeignNumberOutside = true
                number += 1
            }
            let first = number
            firstForeignNumbers.append(first)
            while number < foreignNumbers.count, foreignNumbers[number].lowerBound < range.upperBound { number += 1 }
            assembly.add(message, foreignNumberAt: first < number ? foreignNumbers[first].lowerBound : nil)
        }
        if number < foreignNumbers.count { hasForeignNumberOutside = true }
        return assembly.finished()
    }

    /// Like `decode(_:receivedAt:)`, but copies bytes that have no padding.
    public func decode(_ body: [UInt8], receivedAt: Int64) throws(InvalidInput) -> Batch {
        let padded = body + [UInt8](repeating: 0, count: Self.padding)
        let result = padded.withUnsafeBytes { bytes in
            Result { () throws(InvalidInput) in
                try decode(UnsafeRawBufferPointer(rebasing: bytes[..<body.count]), receivedAt: receivedAt)
            }
        }
        return try result.get()
    }

    /// The original text of a message, on one line, or nil if there is no message at `index`.
    ///
    /// - Parameter body: the last decoded body, with or without padding.
    public func text<Body: RandomAccessCollection<UInt8>>(ofMessage index: Int, in body: Body) -> String?
    where Body.Index == Int {
        guard ranges.indices.contains(index) else { return nil }
        let range = ranges[index]
        var line: [UInt8] = []
        line.reserveCapacity(range.count)
        var number = firstForeignNumbers[index]
        for offset in range {
            let isForeign = number < foreignNumbers.count
            // Numbers that JSON does not have become strings.
            if isForeign, offset == foreignNumbers[number].lowerBound { line.append(UInt8(ascii: "\"")) }
            // In JSON, line breaks occur only between tokens, where a space has the same meaning.
            let byte = body[offset]
            line.append(byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") ? 0x20 : byte)
            if isForeign, offset == foreignNumbers[number].upperBound - 1 {
                line.append(UInt8(ascii: "\""))
                number += 1
            }
        }
        return String(decoding: line, as: UTF8.self)
    }

    private static func problem(of failure: JSONParser.Failure, in body: UnsafeRawBufferPointer) -> InvalidInput {
        if failure == .memory { return InvalidInput("json_invalid", at: [.member("body")], "Body too large to decode") }
        if let error = JSONSyntax.firstError(in: body, maximumDepth: maximumDepth) {
            let message = "JSON decode error at byte \(error.offset): expected \(error.expected)"
            return InvalidInput("json_invalid", at: [.member("body"), .index(error.offset)], message)
        }
        return InvalidInput("json_invalid", at: [.member("body")], "JSON decode error")
    }
}

extension BatchDecoder {
    /// The batch under construction, message by message.
    private struct Assembly {
        let rules: ReadingRules
        let latest: Int64
        private var slots: ComponentSlots
        private var batch = Batch()
        private var devices = DeviceNumbers()
        private var index = 0

        init(rules: ReadingRules, slots: ComponentSlots, latest: Int64, messageCount: Int) {
            self.rules = rules
            self.slots = slots
            self.latest = latest
            batch.messageCount = messageCount
            batch.readings.reserveCapacity(messageCount)
        }

        consuming func finished() -> Batch {
            batch.devices = devices.names
            return batch
        }

        mutating func add(_ message: JSONValue, foreignNumberAt offset: Int?) {
            defer { index += 1 }
            if let offset {
                let text = "JSON decode error at byte \(offset): expected a finite number"
                return refuse([problem("json_invalid", nil, text)])
            }
            guard message.isObject else {
                return refuse([problem("dict_type", nil, "Input should be a valid object")])
            }
            var source: JSONValue?
            var time: JSONValue?
            var params: JSONValue?
            message.forEachMember { name, value in
                switch name.count {
                case 3 where name.equals("src"): source = value
                case 9 where name.equals("timestamp"): time = value
                case 6 where name.equals("params"): params = value
                default: break
                }
            }
            switch (validate(source: source), validate(timestamp: time), validate(params: params)) {
            case (.success(let device), .success(let timestamp), .success(let params)):
                let device = number(of: device)
                let missing = addReadings(of: params, device: device, timestamp: timestamp)
                let receivedAt = latest - BatchDecoder.secondsAhead
                add(LastMessage(time: min(timestamp, receivedAt), missing: missing), of: device)
            case (let source, let timestamp, let params):
                refuse([source.problem, timestamp.problem, params.problem].compactMap { $0 })
            }
        }

        private mutating func refuse(_ problems: [InvalidInput]) {
            batch.invalid.append(InvalidMessage(index: index, problems: problems))
        }

        private mutating func number(of device: DeviceID) -> Int {
            devices.number(of: device) ?? devices.add(device)
        }

        private mutating func add(_ message: LastMessage, of device: Int) {
            if device == batch.lastMessages.count {
                batch.lastMessages.append(message)
            } else {
                batch.lastMessages[device].add(message)
            }
        }

        private func validate(source: JSONValue?) -> Result<DeviceID, InvalidInput> {
            guard let source else { return .failure(problem("missing", "src", "Field required")) }
            guard let bytes = source.string else {
                return .failure(problem("string_type", "src", "Input should be a valid string"))
            }
            do throws(DeviceID.NameError) {
                return .success(try DeviceID(trimming: bytes))
            } catch {
                return .failure(problem("value_error", "src", error.description))
            }
        }

        private func validate(timestamp: JSONValue?) -> Result<Int64, InvalidInput> {
            guard let timestamp else { return .failure(problem("missing", "timestamp", "Field required")) }
            guard let seconds = timestamp.number else {
                return .failure(problem("value_error", "timestamp", "Invalid timestamp: expected a number"))
            }
            // Round down first: 0.5 is second 0. Any double below 1e11 converts exactly.
            let floored = seconds.rounded(.down)
            guard floored > 0 else { return .failure(problem("value_error", "timestamp", "Invalid timestamp")) }
            guard floored < BatchDecoder.looksLikeMilliseconds else {
                let message = "Invalid timestamp: looks like milliseconds, expected Unix seconds"
                return .failure(problem("value_error", "timestamp", message))
            }
            guard Int64(floored) <= latest else {
                return .failure(problem("value_error", "timestamp", "Invalid timestamp"))
            }
            return .success(Int64(floored))
        }

        private func validate(params: JSONValue?) -> Result<JSONValue, InvalidInput> {
            guard let params else { return .failure(problem("missing", "params", "Field required")) }
            guard params.isObject else {
                return .failure(problem("dict_type", "params", "Input should be a valid object"))
            }
            return .success(params)
        }

        private func problem(_ type: String, _ field: String?, _ message: String) -> InvalidInput {
            var location: [InvalidInput.Step] = [.member("body"), .member("messages"), .index(index)]
            if let field { location.append(.member(field)) }
            return InvalidInput(type, at: location, message)
        }

        /// Returns why there is no reading, if there is none.
        private mutating func addReadings(
            of params: JSONValue, device: Int, timestamp: Int64
        ) -> MissingReading? {
            let (readings, faults, untaken) = (batch.readings.count, batch.faults.count, batch.untaken.count)
            slots.clear()
            params.forEachMember { name, value in
                guard value.isObject || slots.hasPlace(for: name) else { return }
                guard let name = slots.place(value, named: name), Measurement.isIn(value) else { return }
                batch.untaken.append(
                    UntakenComponent(
                        message: index, device: device, component: name.type?.type ?? .other,
                        lacking: name.channels == 0 ? nil : name.type, channels: name.channels))
            }
            var taken: UInt8 = 0
            for channel in 0..<ReadingRules.channels
            where addReading(channel, device: device, timestamp: timestamp) { taken |= 1 << channel }
            for place in untaken..<batch.untaken.count where batch.untaken[place].channels & ~taken == 0 {
                batch.untaken[place].lacking = nil
            }
            if rules.power == .energy {
                // By minute, so that the channels of a minute are adjacent.
                batch.readings[readings...].sort { ($0.timestamp, $0.channel) < ($1.timestamp, $1.channel) }
            }
            guard readings == batch.readings.count else { return nil }
            if faults < batch.faults.count {
                let fault = batch.faults[faults]
                return MissingReading(
                    .invalid, fault.component.type, number: fault.component == .em ? 0 : UInt16(fault.channel))
            }
            let missing = MissingReading(in: params, by: rules)
            // The energy counters of the next messages have this power.
            if missing.reason != .powerAlone { batch.messagesWithoutReadings += 1 }
            return missing
        }

        /// Adds the readings of the first component that has the channel and a power. The others are untaken. Returns
        /// whether there was one.
        private mutating func addReading(_ channel: Int, device: Int, timestamp: Int64) -> Bool {
            var isTaken = false
            for (rank, component) in rules.components.enumerated() {
                guard let value = slots[rank, channel: component == .em ? 0 : channel], value.isObject,
                    component != .em || channel < 3
                else { continue }
                let measurement = Measurement(of: value, as: component, channel: channel)
                let source = Source(component: component, channel: channel, device: device, timestamp: timestamp)
                if isTaken {
                    guard measurement.power != nil else { continue }
                    batch.untaken.append(UntakenComponent(message: index, device: device, component: component.type))
                } else {
                    isTaken = take(measurement, of: source)
                }
            }
            return isTaken
        }

        private struct Source {
            let component: ReadingRules.Component
            let channel: Int
            let device: Int
            let timestamp: Int64
        }

        /// Returns whether there was something to take, valid or not.
        private mutating func take(_ measurement: Measurement, of source: Source) -> Bool {
            if rules.power == .energy, source.component.hasMinuteCounters {
                // A change of power alone says nothing of a whole minute.
                guard measurement.energy != nil else { return measurement.power != nil }
                do throws(MinuteCounters.Failure) {
                    let counters = try MinuteCounters(
                        measurement.energy, returned: measurement.returnedEnergy, timestamp: source.timestamp)
                    for value in counters.values where value.minute * 60 <= latest {
                        add(value.watts, source, timestamp: value.minute * 60)
                    }
                    return true
                } catch {
                    if error == .invalid {
                        add(fault: "aenergy.by_minute", source)
                        return true
                    }
                }
            }
            return takeSample(measurement, of: source)
        }

        private mutating func takeSample(_ measurement: Measurement, of source: Source) -> Bool {
            guard let power = measurement.power else { return false }
            let names = Measurement.Names.of(source.component, channel: source.channel)
            let (volts, amperes) = (measurement.voltage?.number, measurement.current?.number)
            if let watts = power.number {
                if measurement.voltage != nil, volts == nil {
                    add(fault: "\(names.voltage)", source)
                } else if measurement.current != nil, amperes == nil {
                    add(fault: "\(names.current)", source)
                } else {
                    add(watts, source, timestamp: source.timestamp, voltage: volts, current: amperes)
                }
            } else {
                add(fault: "\(names.power)", source)
            }
            return true
        }

        private mutating func add(
            _ watts: Double, _ source: Source, timestamp: Int64, voltage: Double? = nil, current: Double? = nil
        ) {
            batch.readings.append(
                Reading(
                    message: index, device: source.device, channel: source.channel, timestamp: timestamp, power: watts,
                    voltage: voltage, current: current))
        }

        private mutating func add(fault field: String, _ source: Source) {
            batch.faults.append(
                ReadingFault(
                    message: index, device: source.device, component: source.component, channel: source.channel,
                    timestamp: source.timestamp, field: field))
        }
    }
}

extension Result where Failure == InvalidInput {
    fileprivate var problem: InvalidInput? {
        if case .failure(let problem) = self { problem } else { nil }
    }
}
