package import Readings

/// The minute keys of one segment in order of arrival, up to 32 minutes of a device in one delta.
package struct SegmentKeys: Sendable {
    /// The keys of a segment, and every device with a message in it.
    package struct Numbered: Equatable, Sendable {
        package let devices: [DeviceID]
        /// The newest message of each of the devices.
        package let lastMessages: [LastMessage]
        /// Their devices are indices.
        package let deltas: [Delta]
    }

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

    /// Keys of a segment, device after device.
    package struct Collection {
        private var devices: [DeviceID] = []
        private var lastMessages: [LastMessage] = []
        private var deltas: [Delta] = []

        package init() {}

        /// Adds a device with its newest message, unless it was added last.
        mutating func add(_ device: DeviceID, _ last: LastMessage) {
            guard devices.last != device else { return }
            devices.append(device)
            lastMessages.append(last)
        }

        /// Adds keys of up to 32 minutes of a device, which is added too.
        ///
        /// - Parameters:
        ///   - dayAndChannels: day since 1970 times 16, plus a bit for each channel.
        ///   - word: minute of the day divided by 32.
        ///   - minutes: one bit for each minute of the word.
        package mutating func add(
            _ device: DeviceID, _ last: LastMessage, _ dayAndChannels: UInt32, word: UInt16, _ minutes: UInt32
        ) {
            add(device, last)
            deltas.append(
                Delta(
                    device: UInt32(devices.count - 1), dayAndChannels: dayAndChannels, word: word, minutes: minutes))
        }

        package var numbered: Numbered { Numbered(devices: devices, lastMessages: lastMessages, deltas: deltas) }
    }

    private var deltas: [Delta] = []
    /// The index of the latest delta of each device, for each channel that may be the first of its channels.
    private var latest: [UInt32] = []

    mutating func removeAll() { deltas.removeAll(keepingCapacity: true) }

    /// Adds a key.
    mutating func insert(_ key: Delta) {
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
    ///
    /// - Parameter numbers: the numbers of the batch's devices.
    mutating func insert(_ batch: Batch, numbers: [Int]) {
        for keys in MessageKeys(of: batch) { insert(Delta(keys, device: numbers[keys.device])) }
    }

    /// The keys and the segment's devices, which are numbered in the order of their first key, those without a key last.
    ///
    /// - Parameters:
    ///   - names: the devices, indexed by the numbers with which the keys were added.
    ///   - lastMessages: the newest message of each of them; nil for a device without a message in this segment.
    func numbered(of names: [DeviceID], _ lastMessages: [LastMessage?]) -> Numbered {
        // Indexed by the old number; .max for a device that has no new one yet.
        var numbers = [UInt32](repeating: .max, count: names.count)
        var found: [DeviceID] = []
        var messages: [LastMessage] = []
        func renumber(_ device: Int) {
            guard numbers[device] == .max else { return }
            guard let last = lastMessages[device] else { preconditionFailure("a key without a message") }
            numbers[device] = UInt32(found.count)
            found.append(names[device])
            messages.append(last)
        }
        let renumbered = deltas.map { delta in
            renumber(Int(delta.device))
            var delta = delta
            delta.device = numbers[Int(delta.device)]
            return delta
        }
        for device in names.indices where lastMessages[device] != nil { renumber(device) }
        return Numbered(devices: found, lastMessages: messages, deltas: renumbered)
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
