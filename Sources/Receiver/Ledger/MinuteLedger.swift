package import Readings

/// The minute keys that this spool holds: one bit for each minute of a device's channel, in pages of a day.
///
/// The ledger is a value with one owner, the spool's writer. It covers everything that the spool retains, so counts are
/// exact while the database is down. It is rebuilt from the spool, so they are exact after any restart. The ledger
/// evicts a device's day when the spool has removed the last segment with a key of that day. A day takes 187 bytes for
/// each of a device's four channels, or 196 for a single channel, plus the device's name.
package struct MinuteLedger: Sendable {
    /// Keys that a group has set, so that they can be removed if the group does not become durable.
    package struct Claims {
        fileprivate var bits: [(page: UInt32, minute: UInt32)] = []

        package init() {}
    }

    /// A day of a device's channel.
    struct Page {
        let day: Int64
        let channel: Int
        fileprivate let number: UInt32
    }

    /// A day of a device; its pages form a linked list in the order of their channels.
    private struct Day {
        /// Days since 1970.
        let day: UInt32
        /// The last segment with a key of it.
        var segment: UInt32 = 0
        var first = Link.none
    }

    /// A page and its channel, or none. The link contains the channel, so that a search need not read the page.
    private struct Link: Equatable {
        static let none = Link(word: 0)

        let word: UInt32

        init(word: UInt32) { self.word = word }
        init(_ page: UInt32, _ channel: Int) { word = (page + 1) << 2 | UInt32(channel) }

        var page: UInt32 { (word >> 2) - 1 }
        var channel: Int { Int(word & 3) }
    }

    private static let wordsPerPage = 45
    private static let pagesPerChunk = 256
    /// The link to the day's next page, followed by the page's bits.
    private static let wordsPerRow = 1 + wordsPerPage

    private var devices = DeviceNumbers()
    /// Indexed by device number; sorted by day.
    private var days: [[Day]] = []
    /// One row per page and 256 rows per chunk, so that growth never copies existing rows.
    private var chunks: [[UInt32]] = []
    private var pageCount = 0
    /// Keys that were claimed in the newest segment, duplicates included.
    private var segmentKeys = SegmentKeys()
    /// The segment to which `segmentKeys` belongs.
    private var keysSegment: UInt32 = 0
    /// A segment whose keys were partly removed again, so that `segmentKeys` does not match its records.
    private var spoiltSegment: UInt32 = 0
    /// Released pages, which can be used again.
    private var freePages: [UInt32] = []
    /// Days whose last segment is before this one have been evicted.
    private var oldest = 0
    /// Keys by minute, of the last 4096 minutes.
    package private(set) var counts = MinuteCounts()

    package init() {}

    /// The approximate memory of the ledger's keys, in bytes. Released pages are used again first.
    package var approximateBytes: Int {
        (pageCount - freePages.count) * (Self.wordsPerRow * 4 + 12) + devices.count * 176
    }

    /// The number of devices in the ledger.
    package var deviceCount: Int { devices.count }

    /// Sets the keys of the batch's readings; returns how many are new, and how many this or an earlier batch set
    /// before.
    ///
    /// - Parameter segment: number of the segment that holds the batch, or will hold it.
    package mutating func claim(
        _ batch: Batch, in segment: Int, noting claims: inout Claims
    ) -> (inserted: Int, duplicates: Int) {
        let segment = UInt32(clamping: segment)
        if segment != keysSegment {
            segmentKeys.removeAll()
            keysSegment = segment
        }
        let numbers = batch.devices.map { number(of: $0) }
        var inserted = 0
        var index = 0
        while index < batch.readings.count {
            // The readings of a message have the same device, day and minute; their channels are in order.
            let first = batch.readings[index]
            let device = numbers[first.device]
            let (day, minute) = first.minute.quotientAndRemainder(dividingBy: Int64.minutesPerDay)
            let place = place(of: UInt32(day), device, in: segment)
            var link = Link.none
            var new: UInt32 = 0
            while index < batch.readings.count, batch.readings[index].message == first.message {
                let channel = batch.readings[index].channel
                index += 1
                link = self.link(to: channel, device, at: place, behind: link)
                let key = SegmentKeys.Delta(device: device, day: UInt32(day), channel: channel, minute: minute)
                segmentKeys.note(key)
                if Self.set(key, in: &chunks[Self.chunk(link.page)], at: Self.row(link.page)) {
                    new += 1
                    claims.bits.append((link.page, UInt32(truncatingIfNeeded: first.minute)))
                }
            }
            counts.add(new, of: UInt32(truncatingIfNeeded: first.minute))
            inserted += Int(new)
        }
        return (inserted, batch.readings.count - inserted)
    }

    /// Sets a key in its page's row; returns whether it is new.
    private static func set(_ key: SegmentKeys.Delta, in chunk: inout [UInt32], at row: Int) -> Bool {
        let word = row + 1 + Int(key.word)
        guard chunk[word] & key.minutes == 0 else { return false }
        chunk[word] |= key.minutes
        return true
    }

    /// The keys that were claimed in `segment`, and the devices to which their numbers refer.
    ///
    /// nil when the ledger does not have all of them: keys of another segment were claimed since, or some were removed.
    package func keys(of segment: Int) -> (devices: [DeviceID], deltas: [SegmentKeys.Delta])? {
        guard keysSegment == UInt32(clamping: segment), keysSegment != spoiltSegment else { return nil }
        return segmentKeys.numbered(of: devices.names)
    }

    /// Sets keys that a segment is known to hold.
    package mutating func restore(_ deltas: [SegmentKeys.Delta], of found: [DeviceID], in segment: Int) {
        let segment = UInt32(clamping: segment)
        let numbers = found.map { number(of: $0) }
        var index = 0
        while index < deltas.count {
            // The deltas are in the order of their claims, so the channels of a device's day are mostly adjacent.
            let first = deltas[index]
            let day = first.dayAndChannel >> 2
            let device = numbers[Int(first.device)]
            let place = place(of: day, device, in: segment)
            var link = Link.none
            var new = MinuteCounts.Keys()
            while index < deltas.count, deltas[index].device == first.device, deltas[index].dayAndChannel >> 2 == day {
                let delta = deltas[index]
                index += 1
                link = self.link(to: Int(delta.dayAndChannel & 3), device, at: place, behind: link)
                let (chunk, word) = (Self.chunk(link.page), Self.row(link.page) + 1 + Int(delta.word))
                let minute = day &* UInt32(Int64.minutesPerDay) &+ UInt32(delta.word) * 32
                let minutes = delta.minutes & ~chunks[chunk][word]
                chunks[chunk][word] |= delta.minutes
                // The channels of a device mostly have the same minutes.
                if !new.add(minutes, from: minute) {
                    counts.add(new)
                    new = MinuteCounts.Keys(minutes, from: minute)
                }
            }
            counts.add(new)
        }
    }

    /// Removes the keys that a group has set.
    package mutating func forget(_ claims: Claims) {
        spoiltSegment = keysSegment
        for (page, minute) in claims.bits {
            let ofDay = Int(minute % UInt32(Int64.minutesPerDay))
            chunks[Self.chunk(page)][Self.row(page) + 1 + ofDay / 32] &= ~(1 << UInt32(ofDay % 32))
            counts.remove(minute)
        }
    }

    /// Evicts the days whose last segment is before `oldest`; the spool no longer holds them.
    package mutating func forget(before oldest: Int) {
        guard oldest > self.oldest else { return }
        self.oldest = oldest
        for number in days.indices where days[number].contains(where: { $0.segment < oldest }) {
            for day in days[number] where day.segment < oldest { for page in pages(of: day) { release(page.number) } }
            days[number] = days[number].filter { $0.segment >= oldest }
            if days[number].isEmpty { devices.remove(number) }
        }
    }

    private mutating func number(of device: DeviceID) -> Int {
        if let number = devices.number(of: device) { return number }
        let number = devices.add(device)
        if number == days.count { days.append([]) }
        return number
    }

    /// The index of the device's day, which is inserted if absent. Records that `segment` has keys of that day.
    private mutating func place(of day: UInt32, _ device: Int, in segment: UInt32) -> Int {
        let place = place(of: day, device)
        if days[device][place].segment < segment { days[device][place].segment = segment }
        return place
    }

    private mutating func place(of wanted: UInt32, _ device: Int) -> Int {
        // The day is nearly always among the newest, so the search starts there.
        var place = days[device].count
        while place > 0, days[device][place - 1].day >= wanted {
            place -= 1
            if days[device][place].day == wanted { return place }
            if days[device].count - place > 8 {
                place = lowerBound(device, wanted)
                if days[device][place].day == wanted { return place }
                break
            }
        }
        // Grow by one, or by an eighth of the count; doubling would leave as much unused as is in use.
        if days[device].count == days[device].capacity {
            days[device].reserveCapacity(days[device].count + max(1, days[device].count / 8))
        }
        days[device].insert(Day(day: wanted), at: place)
        return place
    }

    /// The link to a channel's page of a day; adds an empty page if there is none. If an earlier channel's link is
    /// given, the search starts behind its page.
    private mutating func link(to channel: Int, _ device: Int, at place: Int, behind earlier: Link = .none) -> Link {
        var before = earlier.channel < channel ? earlier : .none
        var link = before == .none ? days[device][place].first : next(behind: before)
        while link != .none, link.channel <= channel {
            if link.channel == channel { return link }
            before = link
            link = next(behind: link)
        }
        let new = Link(newPage(), channel)
        self.link(link, behind: new, device, at: place)
        self.link(new, behind: before, device, at: place)
        return new
    }

    private func next(behind link: Link) -> Link {
        Link(word: chunks[Self.chunk(link.page)][Self.row(link.page)])
    }

    /// Makes `next` the page behind `link`, or the day's first page.
    private mutating func link(_ next: Link, behind link: Link, _ device: Int, at place: Int) {
        if link == .none {
            days[device][place].first = next
        } else {
            chunks[Self.chunk(link.page)][Self.row(link.page)] = next.word
        }
    }

    /// Returns an empty page.
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

    private func lowerBound(_ device: Int, _ wanted: UInt32) -> Int {
        var low = 0
        var high = days[device].count
        while low < high {
            let middle = (low + high) / 2
            if days[device][middle].day < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func chunk(_ page: UInt32) -> Int { Int(page) / pagesPerChunk }

    private static func row(_ page: UInt32) -> Int { Int(page) % pagesPerChunk * wordsPerRow }
}

// Read-only access for queries: see MinuteLedger+Devices.swift.
extension MinuteLedger {
    /// All device numbers are below this one; some may be unused.
    var deviceNumbers: Int { devices.names.count }

    func name(of number: Int) -> DeviceID { devices.names[number] }

    /// The number of a device; nil when the ledger does not know the device.
    func number(known device: DeviceID) -> Int? { devices.number(of: device) }

    /// A device's pages: the newest day first, and within a day the last channel first.
    func newestPages(of number: Int) -> some Sequence<Page> {
        days[number].reversed().lazy.flatMap { pages(of: $0).reversed() }
    }

    private func pages(of day: Day) -> [Page] {
        var pages: [Page] = []
        var link = day.first
        while link != .none {
            pages.append(Page(day: Int64(day.day), channel: link.channel, number: link.page))
            link = next(behind: link)
        }
        return pages
    }

    /// A page's bits, one for each minute of its day.
    func words(of page: Page) -> [UInt32] {
        let first = Self.row(page.number) + 1
        return Array(chunks[Self.chunk(page.number)][first..<(first + Self.wordsPerPage)])
    }

    /// The newest minute of a page, in minutes since 1970; nil when it has none, such as after a failed group.
    func lastMinute(of page: Page) -> Int64? {
        let (chunk, first) = (Self.chunk(page.number), Self.row(page.number) + 1)
        for index in (0..<Self.wordsPerPage).reversed() where chunks[chunk][first + index] != 0 {
            let bit = index * 32 + 31 - chunks[chunk][first + index].leadingZeroBitCount
            return page.day * Int64.minutesPerDay + Int64(bit)
        }
        return nil
    }
}
