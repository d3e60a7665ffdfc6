import Readings

/// The minute keys of a batch, those of a message and minute together: they have one device, and a bit for each channel.
struct MessageKeys: Sequence, IteratorProtocol {
    struct Element {
        /// Index in the batch's devices.
        let device: Int
        /// Minutes since 1970.
        let minute: Int64
        var channels: UInt32
    }

    private let readings: [Reading]
    private var index = 0

    init(of batch: Batch) { readings = batch.readings }

    mutating func next() -> Element? {
        guard index < readings.count else { return nil }
        let first = readings[index]
        var keys = Element(device: first.device, minute: first.minute, channels: 1 << UInt32(first.channel))
        index += 1
        while index < readings.count {
            let reading = readings[index]
            let channel: UInt32 = 1 << UInt32(reading.channel)
            guard reading.message == first.message, reading.minute == first.minute, keys.channels & channel == 0 else {
                break
            }
            keys.channels |= channel
            index += 1
        }
        return keys
    }
}
