/// A batch of messages made from `message.json`, changed in place for each next one, as `batch.lua` does.
///
/// In the template `R` stands for the run, `D` for the device, `S` for the second, `M` for the minute's first second and
/// `V` for any digit. Every message is another device's, and after all devices comes a later minute.
public struct MessageBatch {
    /// The batch as JSON.
    public private(set) var body: [UInt8]

    /// The first message's minute, in October 2024.
    private static let firstMinute = 28_800_000
    /// Spreads the devices, so that they do not come in the order of their names.
    private static let stride = 7919

    private var devicePlaces: [Int]
    private var secondPlaces: [Int]
    private var minutePlaces: [Int]
    private let devices: Int
    private let messages: Int
    private let minutes: Int
    private var counter = 0

    /// - Parameters:
    ///   - template: the content of `message.json`.
    ///   - run: runs have no device in common.
    ///   - minutes: how much later a device's next message is.
    public init(template: [UInt8], messages: Int, devices: Int, run: Int, minutes: Int = 1) {
        var random = Linear(state: UInt64(run) &* 977 &+ 1)
        var body = [UInt8]("{\"messages\":[".utf8)
        let end = template.lastIndex(of: UInt8(ascii: "}")) ?? template.endIndex - 1
        for message in 0..<messages {
            if message > 0 { body.append(UInt8(ascii: ",")) }
            body.append(
                contentsOf: template[...end].map { $0 == UInt8(ascii: "V") ? UInt8(ascii: "0") + random.digit() : $0 })
        }
        body.append(contentsOf: "]}".utf8)
        for place in Self.places(of: "RRRRR", in: body) { Self.write(run, at: place, width: 5, radix: 16, to: &body) }
        devicePlaces = Self.places(of: "DDDDDDD", in: body)
        secondPlaces = Self.places(of: "SSSSSSSSSS", in: body)
        minutePlaces = Self.places(of: "MMMMMMMMMM", in: body)
        precondition(
            devicePlaces.count == messages && secondPlaces.count == 2 * messages && minutePlaces.count == 4 * messages)
        self.body = body
        self.messages = messages
        self.devices = devices
        self.minutes = minutes
    }

    /// Turns the batch into the next one.
    public mutating func advance() {
        for message in 0..<messages {
            let minute = (Self.firstMinute + counter / devices * minutes) * 60
            let device = counter % devices * Self.stride % devices
            Self.write(device, at: devicePlaces[message], width: 7, radix: 16, to: &body)
            for place in secondPlaces[(2 * message)..<(2 * message + 2)] {
                Self.write(minute + 17, at: place, width: 10, radix: 10, to: &body)
            }
            for place in minutePlaces[(4 * message)..<(4 * message + 4)] {
                Self.write(minute, at: place, width: 10, radix: 10, to: &body)
            }
            counter += 1
        }
    }

    private static func places(of pattern: String, in body: [UInt8]) -> [Int] {
        let pattern = Array(pattern.utf8)
        var places: [Int] = []
        var place = 0
        while place + pattern.count <= body.count {
            if body[place] == pattern[0], body[place..<(place + pattern.count)].elementsEqual(pattern) {
                places.append(place)
                place += pattern.count
            } else {
                place += 1
            }
        }
        return places
    }

    private static func write(_ value: Int, at place: Int, width: Int, radix: Int, to body: inout [UInt8]) {
        var value = value
        for digit in (place..<(place + width)).reversed() {
            let last = UInt8(value % radix)
            body[digit] = last < 10 ? UInt8(ascii: "0") + last : UInt8(ascii: "a") + last - 10
            value /= radix
        }
    }

    /// Digits that are the same in every run of the program.
    private struct Linear {
        var state: UInt64

        mutating func digit() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(state >> 33 % 10)
        }
    }
}
