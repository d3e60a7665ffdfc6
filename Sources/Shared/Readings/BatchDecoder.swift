internal import Glibc

/// Decodes and validates a body, as a pure function of the body and the time of receipt.
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

    public init() {}

    /// Decodes and validates `body`, after which `padding` more bytes must be readable.
    ///
    /// - Parameters:
    ///   - body: JSON text in UTF-8.
    ///   - receivedAt: time of receipt, Unix milliseconds. A message's timestamp may be at most a day later.
    /// - Returns: the batch with its valid readings, and the problems of single messages and readings.
    /// - Throws: the `Problem` for which the whole body is rejected.
    public func decode(_ body: UnsafeRawBufferPointer, receivedAt: Int64) throws(Problem) -> Batch {
        ranges.removeAll(keepingCapacity: true)
        parser.shrink(to: max(Self.keptCapacityBytes, body.count))
        let root: JSONValue
        do throws(JSONParser.Failure) {
            root = try parser.parse(body)
        } catch {
            throw Self.problem(of: error, in: body)
        }
        guard root.isObject else { throw Problem("dict_type", at: [.member("body")], "Input should be a valid object") }
        var found: JSONValue?
        root.forEachMember { name, value in if name.equals("messages") { found = value } }
        let location: [Problem.Step] = [.member("body"), .member("messages")]
        guard let found else { throw Problem("missing", at: location, "Field required") }
        guard found.isArray else { throw Problem("list_type", at: location, "Input should be a valid array") }
        let count = found.elementCount(upTo: Self.maximumMessages + 1)
        guard count > 0 else { throw Problem("value_error", at: location, "Batch cannot be empty") }
        guard count <= Self.maximumMessages else {
            throw Problem("value_error", at: location, "Batch too large (max \(Self.maximumMessages))")
        }

        var assembly = Assembly(latest: receivedAt / 1000 + Self.secondsAhead, messageCount: count)
        found.forEachElement { message in
            ranges.append(message.range)
            assembly.add(message)
        }
        return assembly.finished()
    }

    /// Like `decode(_:receivedAt:)`, but copies bytes that have no padding.
    public func decode(_ body: [UInt8], receivedAt: Int64) throws(Problem) -> Batch {
        let padded = body + [UInt8](repeating: 0, count: Self.padding)
        let result = padded.withUnsafeBytes { bytes in
            Result { () throws(Problem) in
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
        // In JSON, line breaks occur only between tokens, where a space has the same meaning.
        let line = body[ranges[index]].map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? 0x20 : $0 }
        return String(decoding: line, as: UTF8.self)
    }

    private static func problem(of failure: JSONParser.Failure, in body: UnsafeRawBufferPointer) -> Problem {
        if failure == .memory { return Problem("json_invalid", at: [.member("body")], "Body too large to decode") }
        if let fault = JSONSyntax.firstFault(in: body, maximumDepth: maximumDepth) {
            let message = "JSON decode error at byte \(fault.offset): expected \(fault.expected)"
            return Problem("json_invalid", at: [.member("body"), .index(fault.offset)], message)
        }
        return Problem("json_invalid", at: [.member("body")], "JSON decode error")
    }
}

extension BatchDecoder {
    /// The batch under construction, message by message.
    private struct Assembly {
        let latest: Int64
        private var batch = Batch()
        private var devices = DeviceNumbers()
        private var index = 0

        init(latest: Int64, messageCount: Int) {
            self.latest = latest
            batch.messageCount = messageCount
            batch.readings.reserveCapacity(messageCount)
        }

        consuming func finished() -> Batch {
            batch.devices = devices.names
            return batch
        }

        mutating func add(_ message: JSONValue) {
            defer { index += 1 }
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
            switch (judge(source: source), judge(timestamp: time), judge(params: params)) {
            case (.success(let device), .success(let timestamp), .success(let params)):
                addReadings(of: params, device: number(of: device), timestamp: timestamp)
            case (let source, let timestamp, let params):
                refuse([source.problem, timestamp.problem, params.problem].compactMap { $0 })
            }
        }

        private mutating func refuse(_ problems: [Problem]) {
            batch.invalid.append(InvalidMessage(index: index, problems: problems))
        }

        private mutating func number(of device: DeviceID) -> Int {
            devices.number(of: device) ?? devices.add(device)
        }

        private func judge(source: JSONValue?) -> Result<DeviceID, Problem> {
            guard let source else { return .failure(problem("missing", "src", "Field required")) }
            guard let bytes = source.string else {
                return .failure(problem("string_type", "src", "Input should be a valid string"))
            }
            do throws(DeviceID.Fault) {
                return .success(try DeviceID(trimming: bytes))
            } catch {
                return .failure(problem("value_error", "src", error.description))
            }
        }

        private func judge(timestamp: JSONValue?) -> Result<Int64, Problem> {
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

        private func judge(params: JSONValue?) -> Result<JSONValue, Problem> {
            guard let params else { return .failure(problem("missing", "params", "Field required")) }
            guard params.isObject else {
                return .failure(problem("dict_type", "params", "Input should be a valid object"))
            }
            return .success(params)
        }

        private func problem(_ type: String, _ field: String?, _ message: String) -> Problem {
            var location: [Problem.Step] = [.member("body"), .member("messages"), .index(index)]
            if let field { location.append(.member(field)) }
            return Problem(type, at: location, message)
        }

        private mutating func addReadings(of params: JSONValue, device: Int, timestamp: Int64) {
            var switches: (JSONValue?, JSONValue?, JSONValue?, JSONValue?) = (nil, nil, nil, nil)
            params.forEachMember { name, value in
                switch name.channel {
                case 0: switches.0 = value
                case 1: switches.1 = value
                case 2: switches.2 = value
                case 3: switches.3 = value
                default: break
                }
            }
            addReading(switches.0, channel: 0, device: device, timestamp: timestamp)
            addReading(switches.1, channel: 1, device: device, timestamp: timestamp)
            addReading(switches.2, channel: 2, device: device, timestamp: timestamp)
            addReading(switches.3, channel: 3, device: device, timestamp: timestamp)
        }

        private mutating func addReading(_ value: JSONValue?, channel: Int, device: Int, timestamp: Int64) {
            guard let value, value.isObject else { return }
            var power: JSONValue?
            var voltage: JSONValue?
            var current: JSONValue?
            value.forEachMember { name, value in
                switch name.count {
                case 6 where name.equals("apower"): power = value
                case 7 where name.equals("voltage"): voltage = value
                case 7 where name.equals("current"): current = value
                default: break
                }
            }
            guard let power, !power.isNull else { return }
            func fault(_ field: String) {
                batch.faults.append(
                    ReadingFault(
                        message: index, device: device, channel: channel, timestamp: timestamp, field: field))
            }
            guard let watts = power.number else { return fault("apower") }
            let volts = voltage?.number
            if let voltage, !voltage.isNull, volts == nil { return fault("voltage") }
            let amperes = current?.number
            if let current, !current.isNull, amperes == nil { return fault("current") }
            batch.readings.append(
                Reading(
                    message: index, device: device, channel: channel, timestamp: timestamp,
                    power: watts, voltage: volts, current: amperes))
        }
    }
}

extension Result where Failure == Problem {
    fileprivate var problem: Problem? {
        if case .failure(let problem) = self { problem } else { nil }
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    fileprivate func equals(_ name: StaticString) -> Bool {
        guard let baseAddress, count == name.utf8CodeUnitCount else { return false }
        return memcmp(baseAddress, name.utf8Start, name.utf8CodeUnitCount) == 0
    }

    /// The channel number: 0 to 3 for `switch:0` to `switch:3`, otherwise nil.
    fileprivate var channel: Int? {
        guard count == 8, UnsafeRawBufferPointer(start: baseAddress, count: 7).equals("switch:") else { return nil }
        let channel = Int(self[7]) - Int(UInt8(ascii: "0"))
        return 0...3 ~= channel ? channel : nil
    }
}
