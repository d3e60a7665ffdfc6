import Readings

/// Which minute keys this spool holds: a bit for each minute of a device's channel, in pages of a day.
///
/// A value with one owner, the spool's writer. It covers what the spool retains, so counts are exact with the database
/// away and, rebuilt from the spool, after any restart; with the spool it forgets, a page at a time, when the last segment
/// that had to do with the page is gone. 196 bytes a device, channel and day, plus the device's name.
struct MinuteLedger {
    /// Keys of one segment: up to 32 minutes of a device's channel.
    struct Delta: Equatable {
        /// Number of the device, here within the ledger.
        var device: UInt32
        /// Day since 1970 times 4, plus the channel.
        let dayAndChannel: UInt32
        /// Minute of the day divided by 32.
        let word: UInt16
        /// A bit for each minute.
        var minutes: UInt32

        /// Whether both are minutes of the same word.
        fileprivate func isNeighbour(of other: Delta) -> Bool {
            device == other.device && dayAndChannel == other.dayAndChannel && word == other.word
        }
    }

    /// Keys that a group has set, so that they can be forgotten when it does not become durable.
    struct Claims {
        fileprivate var bits: [(page: UInt32, minute: UInt32)] = []
    }

    /// A day of a device's channel.
    struct Page {
        fileprivate let dayAndChannel: UInt32
        fileprivate let number: UInt32
    }

    static let minutesPerDay: Int64 = 1440
    private static let wordsPerPage = 45
    private static let pagesPerChunk = 256
    /// In front of a page's bits: the last segment with a key of it, and where its latest delta lies.
    private static let wordsPerRow = 2 + wordsPerPage

    private var devices: [DeviceID: Int] = [:]
    /// By device, sorted by day and channel.
    private var pages: [[Page]] = []
    /// Rows of a page each, 256 to a chunk, so that growth never copies what is there.
    private var chunks: [[UInt32]] = []
    private var pageCount = 0
    /// What was claimed in the newest segment, duplicates included.
    private var deltas: [Delta] = []
    private var deltaSegment: UInt32 = 0
    /// A segment of which keys were taken back, so that its deltas are not its keys.
    private var spoiltSegment: UInt32 = 0
    private var names: [DeviceID] = []
    /// Pages and devices' numbers that are free again.
    private var freePages: [UInt32] = []
    private var freeDevices: [Int] = []
    /// Pages whose segments are before this one are forgotten already.
    private var oldest = 0
    /// Keys by minute, of the last day.
    private(set) var counts = MinuteCounts()

    /// Roughly the memory that the ledger's keys take, in bytes; what was forgotten is used again first.
    var approximateBytes: Int {
        (pageCount - freePages.count) * (Self.wordsPerRow * 4 + 8) + devices.count * 192
    }

    /// Devices that the ledger knows.
    var deviceCount: Int { devices.count }

    /// Sets the keys of the batch's readings and counts which were set before, by this batch or earlier.
    ///
    /// - Parameter segment: number of the segment that the batch is in, or is about to be.
    mutating func claim(
        _ batch: Batch, in segment: Int, noting claims: inout Claims
    ) -> (inserted: Int, duplicates: Int) {
        let segment = UInt32(clamping: segment)
        beginDeltas(of: segment)
        let numbers = batch.devices.map { number(of: $0) }
        var inserted = 0
        for reading in batch.readings {
            let device = numbers[reading.device]
            let (day, minute) = reading.minute.quotientAndRemainder(dividingBy: Self.minutesPerDay)
            let dayAndChannel = Self.dayAndChannel(day, reading.channel)
            let page = page(device: device, dayAndChannel: dayAndChannel)
            let key = Delta(
                device: UInt32(device), dayAndChannel: dayAndChannel, word: UInt16(minute / 32),
                minutes: 1 << UInt32(minute % 32))
            if Self.set(key, in: &chunks[Self.chunk(page)], at: Self.row(page), segment, &deltas) {
                inserted += 1
                counts.add(UInt32(truncatingIfNeeded: reading.minute))
                claims.bits.append((page, UInt32(truncatingIfNeeded: reading.minute)))
            }
        }
        return (inserted, batch.readings.count - inserted)
    }

    /// Sets a key in its page's row and among the segment's deltas; returns whether it is new.
    private static func set(
        _ key: Delta, in chunk: inout [UInt32], at row: Int, _ segment: UInt32, _ deltas: inout [Delta]
    ) -> Bool {
        chunk[row] = max(chunk[row], segment)
        let latest = Int(chunk[row + 1])
        if latest < deltas.count, deltas[latest].isNeighbour(of: key) {
            deltas[latest].minutes |= key.minutes
        } else {
            chunk[row + 1] = UInt32(deltas.count)
            deltas.append(key)
        }
        let word = row + 2 + Int(key.word)
        guard chunk[word] & key.minutes == 0 else { return false }
        chunk[word] |= key.minutes
        return true
    }

    private mutating func beginDeltas(of segment: UInt32) {
        guard segment != deltaSegment else { return }
        deltas.removeAll(keepingCapacity: true)
        deltaSegment = segment
    }

    /// The keys that were claimed in `segment`, with the devices that their numbers count; nil when they are not known
    /// as a whole, because another segment's were claimed since or some were taken back.
    func keys(of segment: Int) -> (devices: [DeviceID], deltas: [Delta])? {
        guard deltaSegment == UInt32(clamping: segment), deltaSegment != spoiltSegment else { return nil }
        var numbers: [UInt32: UInt32] = [:]
        var found: [DeviceID] = []
        let renumbered = deltas.map { delta in
            var delta = delta
            if let number = numbers[delta.device] {
                delta.device = number
            } else {
                let number = UInt32(found.count)
                numbers[delta.device] = number
                found.append(names[Int(delta.device)])
                delta.device = number
            }
            return delta
        }
        return (found, renumbered)
    }

    /// Sets keys that a segment is known to hold.
    mutating func restore(_ deltas: [Delta], of found: [DeviceID], in segment: Int) {
        let segment = UInt32(clamping: segment)
        let numbers = found.map { number(of: $0) }
        for delta in deltas {
            let page = page(device: numbers[Int(delta.device)], dayAndChannel: delta.dayAndChannel)
            let (chunk, row) = (Self.chunk(page), Self.row(page))
            let word = row + 2 + Int(delta.word)
            chunks[chunk][row] = max(chunks[chunk][row], segment)
            let first = (delta.dayAndChannel >> 2) &* UInt32(Self.minutesPerDay) &+ UInt32(delta.word) * 32
            counts.add(delta.minutes & ~chunks[chunk][word], from: first)
            chunks[chunk][word] |= delta.minutes
        }
    }

    /// Takes back what a group has set.
    mutating func forget(_ claims: Claims) {
        spoiltSegment = deltaSegment
        for (page, minute) in claims.bits {
            let ofDay = Int(minute % UInt32(Self.minutesPerDay))
            chunks[Self.chunk(page)][Self.row(page) + 2 + ofDay / 32] &= ~(1 << UInt32(ofDay % 32))
            counts.remove(minute)
        }
    }

    /// Forgets the pages whose last segment is before `oldest`, which the spool does not hold any more.
    mutating func forget(before oldest: Int) {
        guard oldest > self.oldest else { return }
        self.oldest = oldest
        for (device, number) in devices {
            let gone = pages[number].filter { lastSegment(of: $0.number) < oldest }
            guard !gone.isEmpty else { continue }
            pages[number] = pages[number].filter { lastSegment(of: $0.number) >= oldest }
            for page in gone { release(page.number) }
            guard pages[number].isEmpty else { continue }
            devices[device] = nil
            freeDevices.append(number)
        }
    }

    private mutating func number(of device: DeviceID) -> Int {
        if let number = devices[device] { return number }
        let number: Int
        if let free = freeDevices.popLast() {
            number = free
            names[number] = device
        } else {
            number = pages.count
            pages.append([])
            names.append(device)
        }
        devices[device] = number
        return number
    }

    private static func dayAndChannel(_ day: Int64, _ channel: Int) -> UInt32 { UInt32(day) << 2 | UInt32(channel) }

    private mutating func page(device: Int, dayAndChannel wanted: UInt32) -> UInt32 {
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
        let number = newPage()
        // A day's channels at a time, or an eighth of what there is; doubling would cost as much as the pages' own book.
        if pages[device].count == pages[device].capacity {
            pages[device].reserveCapacity(pages[device].count + max(4, pages[device].count / 8))
        }
        pages[device].insert(Page(dayAndChannel: wanted, number: number), at: position)
        return number
    }

    /// An empty page.
    private mutating func newPage() -> UInt32 {
        if let free = freePages.popLast() { return free }
        if pageCount % Self.pagesPerChunk == 0 {
            chunks.append([UInt32](repeating: 0, count: Self.pagesPerChunk * Self.wordsPerRow))
        }
        pageCount += 1
        return UInt32(pageCount - 1)
    }

    private mutating func release(_ page: UInt32) {
        let row = Self.row(page)
        for word in row..<(row + Self.wordsPerRow) { chunks[Self.chunk(page)][word] = 0 }
        freePages.append(page)
    }

    private func lastSegment(of page: UInt32) -> Int { Int(chunks[Self.chunk(page)][Self.row(page)]) }

    private func lowerBound(_ device: Int, _ wanted: UInt32) -> Int {
        var low = 0
        var high = pages[device].count
        while low < high {
            let middle = (low + high) / 2
            if pages[device][middle].dayAndChannel < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func chunk(_ page: UInt32) -> Int { Int(page) / pagesPerChunk }

    private static func row(_ page: UInt32) -> Int { Int(page) % pagesPerChunk * wordsPerRow }
}

// What those need who only look: see Devices/MinuteLedger+Devices.swift.
extension MinuteLedger {
    /// Numbers of devices are below this; some may be free.
    var deviceNumbers: Int { names.count }

    func name(of number: Int) -> DeviceID { names[number] }

    /// The number of a device that is known.
    func number(known device: DeviceID) -> Int? { devices[device] }

    /// A device's pages, sorted by day and channel.
    func pages(of number: Int) -> [Page] { pages[number] }

    /// A page's bits, one for each minute of its day.
    func words(of page: Page) -> [UInt32] {
        let first = Self.row(page.number) + 2
        return Array(chunks[Self.chunk(page.number)][first..<(first + Self.wordsPerPage)])
    }

    /// The newest minute of a page, since 1970; nil when it has none, as when a failed group has taken its keys back.
    func lastMinute(of page: Page) -> Int64? {
        let (chunk, first) = (Self.chunk(page.number), Self.row(page.number) + 2)
        for index in (0..<Self.wordsPerPage).reversed() where chunks[chunk][first + index] != 0 {
            let bit = index * 32 + 31 - chunks[chunk][first + index].leadingZeroBitCount
            return page.day * Self.minutesPerDay + Int64(bit)
        }
        return nil
    }
}

extension MinuteLedger.Page {
    /// Since 1970.
    var day: Int64 { Int64(dayAndChannel >> 2) }
    var channel: Int { Int(dayAndChannel & 3) }
}
