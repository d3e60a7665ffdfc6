import Readings

/// Which minute keys this spool holds: a bit for each minute of a device's channel, in pages of a day.
///
/// A value with one owner, the spool's writer. It covers what the spool retains, so counts are exact with the database
/// away and, rebuilt from the spool, after any restart. 188 bytes a device, channel and day, plus the device's name.
struct MinuteLedger {
    /// Keys that a group has set, so that they can be forgotten when it does not become durable.
    struct Claims {
        fileprivate var bits: [(page: UInt32, minute: UInt16)] = []
    }

    /// A device's pages, sorted by day and channel.
    private struct Page {
        let dayAndChannel: UInt32
        let number: UInt32
    }

    private static let minutesPerDay: Int64 = 1440
    private static let wordsPerPage = 45
    private static let pagesPerChunk = 256

    private var devices: [DeviceID: Int] = [:]
    private var pages: [[Page]] = []
    /// Bitmaps of 45 words, 256 to a chunk, so that growth never copies what is there.
    private var chunks: [[UInt32]] = []
    private var pageCount = 0

    /// Roughly the memory that the ledger takes, in bytes.
    var approximateBytes: Int {
        chunks.count * Self.pagesPerChunk * Self.wordsPerPage * 4 + pageCount * 16 + devices.count * 192
    }

    /// Devices that the ledger knows.
    var deviceCount: Int { devices.count }

    /// Sets the keys of the batch's readings and counts which were set before, by this batch or earlier.
    mutating func claim(_ batch: Batch, noting claims: inout Claims) -> (inserted: Int, duplicates: Int) {
        let numbers = batch.devices.map { number(of: $0) }
        var inserted = 0
        for reading in batch.readings {
            let minute = reading.minute
            let page = page(device: numbers[reading.device], channel: reading.channel, day: minute / Self.minutesPerDay)
            let bit = UInt16(minute % Self.minutesPerDay)
            if set(page, bit) {
                inserted += 1
                claims.bits.append((page, bit))
            }
        }
        return (inserted, batch.readings.count - inserted)
    }

    /// Takes back what a group has set.
    mutating func forget(_ claims: Claims) {
        for (page, minute) in claims.bits {
            let (chunk, word, mask) = Self.place(page, minute)
            chunks[chunk][word] &= ~mask
        }
    }

    private mutating func number(of device: DeviceID) -> Int {
        if let number = devices[device] { return number }
        let number = pages.count
        devices[device] = number
        pages.append([])
        return number
    }

    private mutating func page(device: Int, channel: Int, day: Int64) -> UInt32 {
        let wanted = UInt32(day) << 2 | UInt32(channel)
        // Nearly always among the newest, so the search starts there.
        var position = pages[device].count
        while position > 0, pages[device][position - 1].dayAndChannel >= wanted {
            position -= 1
            if pages[device][position].dayAndChannel == wanted { return pages[device][position].number }
            if pages[device].count - position > 8 {
                position = lowerBound(device, wanted)
                if pages[device][position].dayAndChannel == wanted { return pages[device][position].number }
                break
            }
        }
        let number = UInt32(pageCount)
        if pageCount % Self.pagesPerChunk == 0 {
            chunks.append([UInt32](repeating: 0, count: Self.pagesPerChunk * Self.wordsPerPage))
        }
        pageCount += 1
        pages[device].insert(Page(dayAndChannel: wanted, number: number), at: position)
        return number
    }

    private func lowerBound(_ device: Int, _ wanted: UInt32) -> Int {
        var low = 0
        var high = pages[device].count
        while low < high {
            let middle = (low + high) / 2
            if pages[device][middle].dayAndChannel < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func set(_ page: UInt32, _ minute: UInt16) -> Bool {
        let (chunk, word, mask) = Self.place(page, minute)
        guard chunks[chunk][word] & mask == 0 else { return false }
        chunks[chunk][word] |= mask
        return true
    }

    private static func place(_ page: UInt32, _ minute: UInt16) -> (chunk: Int, word: Int, mask: UInt32) {
        let word = Int(page) % pagesPerChunk * wordsPerPage + Int(minute) / 32
        return (Int(page) / pagesPerChunk, word, 1 << UInt32(minute % 32))
    }
}
