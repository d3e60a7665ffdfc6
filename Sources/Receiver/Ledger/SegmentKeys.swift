import Readings

/// The minute keys of one segment in order of arrival, up to 32 minutes of a device in one delta.
package struct SegmentKeys: Sendable {
    /// Keys of up to 32 minutes of some channels of a device, which all have these minutes.
    package struct Delta: Equatable, Sendable {
        /// Number of the device.
        var device: UInt32
        /// Day since 1970 times 16, plus a bit for each channel.
        let dayAndChannels: UInt32
        /// Minute of the day divided by 32.
        let word: UInt16
        /// One bit for each minute.
        var minutes: UInt32

        var day: UInt32 { dayAndChannels >> 4 }
        var channels: UInt32 { dayAndChannels & 0xF }

        /// Whether both are minutes of the same word and the same channels.
        fileprivate func isNeighbour(of other: Delta) -> Bool {
            device == other.device && dayAndChannels == other.dayAndChannels && word == other.word
        }
    }

    private var deltas: [Delta] = []
    /// The index of the latest delta of each device, for each channel that may be the first of its channels.
    private var latest: [UInt32] = []

    mutating func removeAll() { deltas.removeAll(keepingCapacity: true) }

    /// Adds a key.
    mutating func note(_ key: Delta) {
        let channel = Int(key.device) * 4 + key.channels.trailingZeroBitCount
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
        for keys in MessageKeys(of: batch) { note(Delta(keys, device: numbers[keys.device])) }
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
    init(_ keys: MessageKeys.Element, device: Int) {
        let (day, minute) = keys.minute.quotientAndRemainder(dividingBy: .minutesPerDay)
        self.init(
            device: UInt32(device), dayAndChannels: UInt32(day) << 4 | keys.channels, word: UInt16(minute / 32),
            minutes: 1 << UInt32(minute % 32))
    }
}
