/// The mean power of whole minutes, from a component's energy counters.
///
/// `by_minute` has the energy of three minutes in mWh, the newest first. With newer firmware `minute_ts` is the start of
/// the present minute, and `by_minute[0]` is the minute before. With older firmware `minute_ts` is the time of the last
/// count, within a minute, and `by_minute[0]` is the energy of that minute so far, which is left out. docs/DEVICES.md
/// has the sources.
struct MinuteCounters {
    struct Value: Equatable {
        /// Minutes since 1970.
        let minute: Int64
        let watts: Double
    }

    enum Failure: Error, Equatable {
        /// There is no array, or the device's clock is not set or disagrees with the message.
        case absent
        /// An element is not a number, or gives no finite power.
        case invalid
    }

    private static let elements = 3
    /// Counters further from the message's time are not believed.
    private static let maximumSecondsApart: Int64 = 3600

    /// The minutes in ascending order.
    private(set) var values: [Value] = []

    /// - Parameter timestamp: the message's time, Unix seconds.
    init(_ energy: JSONValue?, returned: JSONValue?, timestamp: Int64) throws(Failure) {
        guard let energy, let (consumed, time) = Self.counters(in: energy) else { throw .absent }
        guard let seconds = time.number.flatMap({ Int64(exactly: $0.rounded(.down)) }), seconds > 0,
            abs(seconds - timestamp) <= Self.maximumSecondsApart
        else { throw .absent }
        let consumedEnergy = try Self.numbers(in: consumed)
        // Counters of another time are another three minutes.
        var returnedEnergy: [Double] = []
        if let returned, let (array, returnedTime) = Self.counters(in: returned), returnedTime.number == time.number {
            returnedEnergy = try Self.numbers(in: array)
        }
        self.init(consumed: consumedEnergy, returned: returnedEnergy, minuteTimestamp: seconds)
        guard values.allSatisfy(\.watts.isFinite) else { throw .invalid }
    }

    init(consumed: [Double], returned: [Double], minuteTimestamp seconds: Int64) {
        let isOlder = seconds % 60 != 0
        for index in consumed.indices.reversed() where !(isOlder && index == 0) {
            let back = returned.indices.contains(index) ? returned[index] : 0
            // Returned energy is counted in both. A meter for which that cannot be has two separate counters.
            let milliwattHours = back <= consumed[index] ? consumed[index] - 2 * back : consumed[index] - back
            let minute = seconds / 60 - Int64(isOlder ? index : index + 1)
            if minute > 0 { values.append(Value(minute: minute, watts: milliwattHours * 60 / 1000)) }
        }
    }

    private static func counters(in energy: JSONValue) -> (array: JSONValue, time: JSONValue)? {
        var array: JSONValue?
        var time: JSONValue?
        energy.forEachMember { name, value in
            if name.equals("by_minute") { array = value }
            if name.equals("minute_ts") { time = value }
        }
        guard let array, array.isArray, let time else { return nil }
        return (array, time)
    }

    private static func numbers(in array: JSONValue) throws(Failure) -> [Double] {
        var numbers: [Double] = []
        var isValid = true
        array.forEachElement { value in
            guard numbers.count < elements else { return }
            if let number = value.number { numbers.append(number) } else { isValid = false }
        }
        guard isValid else { throw .invalid }
        return numbers
    }
}
