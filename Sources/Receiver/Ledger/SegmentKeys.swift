import Readings

/// The minute keys of one segment in order of arrival, up to 32 minutes of a device's channel in one delta.
package struct SegmentKeys: Sendable {
    /// Keys of up to 32 minutes of a device's channel.
    package struct Delta: Equatable, Sendable {
        /// Number of the device.
        var device: UInt32
        /// Day since 1970 times 4, plus the channel.
        let dayAndChannel: UInt32
        /// Minute of the day divided by 32.
        let word: UInt16
        /// One bit for each minute.
        var minutes: UInt32

        /// Whether both are minutes of the same word.
        fileprivate func isNeighbour(of other: Delta) -> Bool {
            device == other.device && dayAndChannel == other.dayAndChannel && word == other.word
        }
    }

    private var deltas: [Delta] = []
    /// The index of the latest delta of each channel of each device.
    private var latest: [UInt32] = []

    mutating func removeAll() { deltas.removeAll(keepingCapacity: true) }

    /// Adds a key.
    mutating func note(_ key: Delta) {
        let channel = Int(key.device) * 4 + Int(key.dayAndChannel & 3)
        while latest.count <= channel { latest.append(0) }
        let last = Int(latest[channel])
        if last < deltas.count, deltas[last].isNeighbour(of: key) {
            deltas[last].minutes |= key.minutes
        } else {
            latest[channel] = UInt32(deltas.count)
            deltas.append(key)
        }
    }

    /// Adds the keys of a batch.
    mutating func note(_ batch: Batch, numbering devices: inout DeviceNumbers) {
        let numbers = batch.devices.map { devices.number(of: $0) ?? devices.add($0) }
        for reading in batch.readings {
            let (day, minute) = reading.minute.quotientAndRemainder(dividingBy: .minutesPerDay)
            note(Delta(device: numbers[reading.device], day: UInt32(day), channel: reading.channel, minute: minute))
        }
    }

    /// The keys and their devices, with the devices numbered in the order of their first key.
    ///
    /// - Parameter names: the devices, indexed by the numbers with which the keys were added.
    func numbered(of names: [DeviceID]) -> (devices: [DeviceID], deltas: [Delta]) {
        // Indexed by the old number; .max for a device that has no new one yet.
        var numbers = [UInt32](repeating: .max, count: names.count)
        var found: [DeviceID] = []
        let renumbered = deltas.map { delta in
            let device = Int(delta.device)
            if numbers[device] == .max {
                numbers[device] = UInt32(found.count)
                found.append(names[device])
            }
            var delta = delta
            delta.device = numbers[device]
            return delta
        }
        return (found, renumbered)
    }
}

extension SegmentKeys.Delta {
    /// Creates the key of one minute.
    ///
    /// - Parameters:
    ///   - day: in days since 1970.
    ///   - minute: minute of the day.
    init(device: Int, day: UInt32, channel: Int, minute: Int64) {
        self.init(
            device: UInt32(device), dayAndChannel: day << 2 | UInt32(channel), word: UInt16(minute / 32),
            minutes: 1 << UInt32(minute % 32))
    }
}
