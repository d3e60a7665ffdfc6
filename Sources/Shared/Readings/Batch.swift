/// A decoded and validated batch.
public struct Batch: Sendable {
    /// Number of messages, valid or not.
    public internal(set) var messageCount = 0
    /// The distinct devices of the valid messages, in the order of their first message.
    public internal(set) var devices: [DeviceID] = []
    /// The newest message of each of the devices.
    public internal(set) var lastMessages: [LastMessage] = []
    /// The readings of the valid messages, in the order of messages and channels.
    public internal(set) var readings: [Reading] = []
    /// The readings that cannot be stored.
    public internal(set) var faults: [ReadingFault] = []
    /// The components that have a power and that the rules do not take.
    public internal(set) var untaken: [UntakenComponent] = []
    /// The number of valid messages without any reading, valid or not. Changes of power do not count
    /// if the device sends energy counters as well.
    public internal(set) var messagesWithoutReadings = 0
    /// The messages that violate the contract, in order.
    public internal(set) var invalid: [InvalidMessage] = []
}

/// A message that violates the contract, with all of its problems.
public struct InvalidMessage: Sendable, Equatable {
    /// Index in the batch, from 0.
    public let index: Int
    public let problems: [InvalidInput]

    /// All problems in one human-readable line, such as `timestamp: Field required; params: Field required`.
    public var reason: String { problems.map(\.sentence).joined(separator: "; ") }
}

/// One problem in a body, in FastAPI's format: type, location and message.
///
/// It contains no text from the client, so it can be returned and logged as it is.
public struct InvalidInput: Error, Sendable, Equatable {
    /// A step in the path to the location: a member's name or an index.
    public enum Step: Sendable, Equatable {
        case member(String)
        case index(Int)
    }

    /// Machine-readable type, pydantic's where it has one: `missing`, `string_type`, `value_error`, `json_invalid`, …
    public let type: String
    public let location: [Step]
    public let message: String

    public init(_ type: String, at location: [Step], _ message: String) {
        self.type = type
        self.location = location
        self.message = message
    }

    /// The message, which names its field.
    fileprivate var sentence: String {
        // The messages of a value error name their object themselves.
        guard type != "value_error", case .member(let field) = location.last else { return message }
        return "\(field): \(message)"
    }
}

/// The idempotency key, one per device, channel and minute: `{src}_{channel}_{timestamp / 60}`.
public struct IdempotencyKey {
    /// Appends the key's bytes to `bytes`.
    public static func append(device: DeviceID, channel: Int, minute: Int64, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: device.utf8)
        bytes.append(UInt8(ascii: "_"))
        bytes.append(UInt8(ascii: "0") + UInt8(channel))
        bytes.append(UInt8(ascii: "_"))
        var divisor: Int64 = 1
        while minute / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(minute / divisor % 10))
            divisor /= 10
        }
    }

    /// The key as text, for messages and tests.
    public static func text(device: DeviceID, channel: Int, minute: Int64) -> String {
        var bytes: [UInt8] = []
        append(device: device, channel: channel, minute: minute, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
