// Ledger: the minute keys of all retained readings: counted, kept, rebuilt at start.
// Begin here.
// Uses Readings, Spool.

package import Readings

/// The minute keys that this spool holds: one bit for each minute of a day.
///
/// The ledger is a value with one owner, the spool's writer. It covers everything that the spool retains, so counts are
/// exact while the database is down. It is rebuilt from the spool, so they are exact after any restart. The ledger
/// evicts a device's day when the spool has removed the last segment with a key of that day.
///
/// Channels that have the same minutes share a page, as nearly all channels of a device do. A page is split when they
/// begin to differ. When a device's next day begins, equal pages of the day before are joined, and a whole day takes no
/// page. So a day takes 198 bytes for all channels of a device together, or 14 when no minute is missing, plus the
/// device's name.
package struct MinuteLedger: Sendable {
    /// Keys that a group has set, so that they can be removed if the group does not become durable.
    package struct UndoLog {
        fileprivate var keys: [(device: UInt32, minute: UInt32, channels: UInt32)] = []
        /// The newest messages before those of the group.
        fileprivate var lastMessages: [(device: UInt32, last: LastMessage?)] = []

        package init() {}
    }

    /// Memory that a batch needs.
    package enum Growth {
        /// All its keys have their place.
        case none
        /// Pages for devices that the ledger knows.
        case pages
        case devices
    }

    /// A day of a device's channel.
    struct Page {
        let day: Int64
        let channel: Int
        fileprivate let number: UInt32
    }

    /// A day of a device; its pages form a linked list. The page of a whole day, which has no link, is the last.
    private struct Day {
        /// Days since 1970.
        let day: UInt32
        /// The last segment with a key of it.
        var segment: UInt32 = 0
        var first = Link.none
    }

    /// The newest message of a device.
    private struct Contact {
        /// nil when no message became durable.
        var last: LastMessage?
        /// The last segment with a message of it.
        var segment: UInt32
    }

    /// A page and a bit for each of its channels, or none.
    private struct Link: Equatable {
        static let none = Link(word: 0)

        let word: UInt32

        init(word: UInt32) { self.word = word }
        init(_ page: UInt32, _ channels: UInt32) { word = (page + 1) << 4 | channels }

        var page: UInt32 { (word >> 4) - 1 }
        var channels: UInt32 { word & 0xF }
    }

    private var devices = DeviceNumbers()
    /// Indexed by device number; sorted by day.
    private var days: [[Day]] = []
    private var dayCount = 0
    /// Indexed by device number; nil for a number that is not used.
    private var contacts: [Contact?] = []
    private var pages = PagePool()
    /// Keys that were inserted in the newest segment, duplicates included.
    private var segmentKeys = SegmentKeys()
    /// The segment to which `segmentKeys` belongs.
    private var keysSegment: UInt32 = 0
    /// A segment whose keys were partly removed again, so that `segmentKeys` does not match its records.
    private var spoiltSegment: UInt32 = 0
    /// Days whose last segment is before this one have been evicted.
    private var oldest = 0
    /// Keys by minute, of the last 4096 minutes.
    package private(set) var counts = MinuteCounts()

    package init() {}

    /// The approximate memory of the ledger's keys, in bytes. Released pages are used again first.
    package var approximateBytes: Int {
        pages.used * PagePool.bytes + dayCount * 14 + devices.count * 208
    }

    /// The number of devices in the ledger.
    package var deviceCount: Int { devices.count }

    /// Sets the keys of the batch's readings; returns how many are new, and how many this or an earlier batch set
    /// before.
    ///
    /// - Parameter segment: number of the segment that holds the batch, or will hold it.
    package mutating func insert(
        _ batch: Batch, in segment: Int, undoLog: inout UndoLog
    ) -> (inserted: Int, duplicates: Int) {
        let segment = UInt32(clamping: segment)
        if segment != keysSegment {
            segmentKeys.removeAll()
            keysSegment = segment
        }
        let numbers = batch.devices.map { number(of: $0) }
        for (device, last) in zip(numbers, batch.lastMessages) {
            undoLog.lastMessages.append((UInt32(device), contacts[device]?.last))
            add(last, of: device, in: segment)
        }
        var inserted = 0
        for keys in MessageKeys(of: batch) {
            let device = numbers[keys.device]
            let delta = SegmentKeys.Delta(keys, device: device)
            segmentKeys.insert(delta)
            let place = place(of: delta.day, device, in: segment)
            let new = set(delta.minutes, of: Int(delta.word), delta.channels, device, at: place)
            guard new != 0 else { continue }
            undoLog.keys.append((UInt32(device), UInt32(truncatingIfNeeded: keys.minute), new))
            inserted += new.nonzeroBitCount
        }
        return (inserted, batch.readings.count - inserted)
    }

    /// Whether the ledger takes the batch without growing past `limit` bytes.
    ///
    /// Keys that have their place are always taken. From seven eighths of the limit on, devices that the ledger does not
    /// know are refused, so that there is room for the next days of those that it knows.
    package func admits(_ batch: Batch, below limit: Int) -> Bool {
        let bytes = approximateBytes
        guard Self.refusesNewDevices(at: bytes, of: limit) else { return true }
        return switch growth(of: batch) {
        case .none: true
        case .pages: bytes < limit
        case .devices: false
        }
    }

    /// Whether a ledger of so many bytes refuses devices that it does not know.
    package static func refusesNewDevices(at bytes: Int, of limit: Int) -> Bool { bytes >= limit - limit / 8 }

    /// Whether it has a message of the device.
    package func knows(_ device: DeviceID) -> Bool { devices.number(of: device) != nil }

    /// The memory that the batch would need.
    package func growth(of batch: Batch) -> Growth {
        var growth = Growth.none
        var numbers: [Int] = []
        for device in batch.devices {
            guard let number = devices.number(of: device) else { return .devices }
            numbers.append(number)
        }
        for keys in MessageKeys(of: batch) {
            let device = numbers[keys.device]
            if growth == .none, needsPage(SegmentKeys.Delta(keys, device: device)) { growth = .pages }
        }
        return growth
    }

    /// The keys that were inserted in `segment`, and the devices with a message in it.
    ///
    /// nil when the ledger does not have all of them: keys of another segment were inserted since, or some were removed.
    package func keys(of segment: Int) -> SegmentKeys.Numbered? {
        guard keysSegment == UInt32(clamping: segment), keysSegment != spoiltSegment else { return nil }
        return segmentKeys.numbered(
            of: devices.names, contacts.map { $0?.segment == keysSegment ? $0?.last : nil })
    }

    /// Sets keys that a segment is known to hold, and the newest messages of its devices.
    package mutating func restore(_ keys: SegmentKeys.Numbered, in segment: Int) {
        let segment = UInt32(clamping: segment)
        let numbers = keys.devices.map { number(of: $0) }
        for (device, last) in zip(numbers, keys.lastMessages) { add(last, of: device, in: segment) }
        for delta in keys.deltas {
            let device = numbers[Int(delta.device)]
            let place = place(of: delta.day, device, in: segment)
            _ = set(delta.minutes, of: Int(delta.word), delta.channels, device, at: place)
        }
    }

    /// All keys by segment, those of a device's day in the last segment with a key of that day. A device is in the
    /// segments with its days, and in the last one with a message of it.
    ///
    /// `restore` of each of them, in order, gives this ledger again.
    func keysByLastSegment() -> [Int: SegmentKeys.Numbered] {
        var segments: [UInt32: SegmentKeys.Collection] = [:]
        for (number, contact) in contacts.enumerated() {
            guard let contact, let last = contact.last else { continue }
            let device = devices.names[number]
            segments[contact.segment, default: .init()].add(device, last)
            for day in days[number] {
                for link in links(of: day) {
                    let dayAndChannels = day.day << 4 | link.channels
                    for (word, minutes) in pages.bits(of: link.page).enumerated() where minutes != 0 {
                        segments[day.segment, default: .init()].add(
                            device, last, dayAndChannels, word: UInt16(word), minutes)
                    }
                }
            }
        }
        return Dictionary(uniqueKeysWithValues: segments.map { (Int($0.key), $0.value.numbered) })
    }

    /// Removes the keys that a group has set.
    package mutating func undo(_ undoLog: UndoLog) {
        spoiltSegment = keysSegment
        for (device, last) in undoLog.lastMessages.reversed() { contacts[Int(device)]?.last = last }
        for (device, minute, channels) in undoLog.keys {
            let (day, ofDay) = minute.quotientAndRemainder(dividingBy: UInt32(Int64.minutesPerDay))
            guard let place = place(known: day, Int(device)) else { continue }
            clear(ofDay, channels, Int(device), at: place)
            counts.remove(UInt32(channels.nonzeroBitCount), of: minute)
        }
    }

    /// Evicts the days and devices whose last segment is before `oldest`; the spool no longer holds them.
    package mutating func evict(before oldest: Int) {
        guard oldest > self.oldest else { return }
        self.oldest = oldest
        for number in days.indices {
            if days[number].contains(where: { $0.segment < oldest }) { evictDays(of: number, before: oldest) }
            if let contact = contacts[number], contact.segment < oldest {
                contacts[number] = nil
                devices.remove(number)
            }
        }
    }

    private mutating func evictDays(of number: Int, before oldest: Int) {
        for day in days[number] where day.segment < oldest {
            for link in links(of: day) { pages.release(link.page) }
            dayCount -= 1
        }
        days[number] = days[number].filter { $0.segment >= oldest }
    }

    /// Adds the device's newest message in a segment. The ledger has nothing of a device from a later segment, so the
    /// device is evicted with this one.
    private mutating func add(_ last: LastMessage, of device: Int, in segment: UInt32) {
        contacts[device]?.last?.add(last)
        if contacts[device]?.last == nil { contacts[device]?.last = last }
        contacts[device]?.segment = segment
    }

    private mutating func number(of device: DeviceID) -> Int {
        if let number = devices.number(of: device) { return number }
        let number = devices.add(device)
        if number == days.count {
            days.append([])
            contacts.append(nil)
        }
        contacts[number] = Contact(segment: 0)
        return number
    }
}

// Days of a device.
extension MinuteLedger {
    /// The index of the device's day, which is inserted if absent. Records that `segment` has keys of that day.
    private mutating func place(of wanted: UInt32, _ device: Int, in segment: UInt32) -> Int {
        let place = lowerBound(device, wanted)
        if place == days[device].count || days[device][place].day != wanted {
            // Grow by one, or by an eighth of the count; doubling would leave as much unused as is in use.
            if days[device].count == days[device].capacity {
                days[device].reserveCapacity(days[device].count + max(1, days[device].count / 8))
            }
            if place > 0, place == days[device].count { compact(device, at: place - 1) }
            days[device].insert(Day(day: wanted), at: place)
            dayCount += 1
        }
        if days[device][place].segment < segment { days[device][place].segment = segment }
        return place
    }

    private func place(known wanted: UInt32, _ device: Int) -> Int? {
        let place = lowerBound(device, wanted)
        return place < days[device].count && days[device][place].day == wanted ? place : nil
    }

    /// The index of the device's first day that is not before the wanted one.
    private func lowerBound(_ device: Int, _ wanted: UInt32) -> Int {
        // It is nearly always the newest.
        var high = days[device].count
        if high == 0 || days[device][high - 1].day < wanted { return high }
        high -= 1
        if days[device][high].day == wanted { return high }
        var low = 0
        while low < high {
            let middle = (low + high) / 2
            if days[device][middle].day < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Joins equal pages of a day, and gives up the pages of whole days.
    private mutating func compact(_ device: Int, at place: Int) {
        var kept: [Link] = []
        var whole: UInt32 = 0
        for link in links(of: days[device][place]) {
            if pages.isFull(link.page) {
                whole |= link.channels
                pages.release(link.page)
            } else if let equal = kept.firstIndex(where: { pages.bits(of: $0.page) == pages.bits(of: link.page) }) {
                kept[equal] = Link(kept[equal].page, kept[equal].channels | link.channels)
                pages.release(link.page)
            } else {
                kept.append(link)
            }
        }
        if whole != 0 { kept.append(Link(PagePool.full, whole)) }
        days[device][place].first = .none
        for link in kept.reversed() { insert(link, device, at: place) }
    }
}

// Pages of a day.
extension MinuteLedger {
    /// Sets minutes of a word of the day for some channels, and counts the new ones.
    ///
    /// - Returns: the channels that have new minutes.
    private mutating func set(
        _ minutes: UInt32, of word: Int, _ channels: UInt32, _ device: Int, at place: Int
    ) -> UInt32 {
        let first = days[device][place].day &* UInt32(Int64.minutesPerDay) &+ UInt32(word) * 32
        var missing = channels
        var new: UInt32 = 0
        var before = Link.none
        var link = days[device][place].first
        while link != .none, missing != 0 {
            let shared = link.channels & missing
            missing &= ~shared
            let added = shared == 0 ? 0 : minutes & ~pages[link.page, word]
            if added != 0 {
                if shared != link.channels { link = split(link, keeping: shared, behind: before, device, at: place) }
                pages[link.page, word] |= added
                counts.add(UInt32(shared.nonzeroBitCount), of: added, from: first)
                new |= shared
            }
            before = link
            link = next(behind: link)
        }
        guard missing != 0 else { return new }
        let page = pages.make()
        pages[page, word] = minutes
        insert(Link(page, missing), device, at: place)
        counts.add(UInt32(missing.nonzeroBitCount), of: minutes, from: first)
        return new | missing
    }

    /// Removes a minute of the day from some channels, which all have it.
    private mutating func clear(_ minute: UInt32, _ channels: UInt32, _ device: Int, at place: Int) {
        var left = channels
        var before = Link.none
        var link = days[device][place].first
        while link != .none, left != 0 {
            let shared = link.channels & left
            left &= ~shared
            if shared != 0 {
                if shared != link.channels || link.page == PagePool.full {
                    link = split(link, keeping: shared, behind: before, device, at: place)
                }
                pages[link.page, Int(minute / 32)] &= ~(1 << (minute % 32))
            }
            before = link
            link = next(behind: link)
        }
    }

    /// Whether the ledger has to make a page for the keys.
    private func needsPage(_ keys: SegmentKeys.Delta) -> Bool {
        guard let place = place(known: keys.day, Int(keys.device)) else { return true }
        var missing = keys.channels
        for link in links(of: days[Int(keys.device)][place]) {
            let shared = link.channels & missing
            missing &= ~shared
            if shared != 0, shared != link.channels, keys.minutes & ~pages[link.page, Int(keys.word)] != 0 {
                return true
            }
        }
        return missing != 0
    }

    /// Gives some channels of a page a page of their own with the same minutes, so that it can be changed for them
    /// alone. Returns the link to it; its predecessor is `before`, unless it has become the first.
    private mutating func split(
        _ link: Link, keeping channels: UInt32, behind before: Link, _ device: Int, at place: Int
    ) -> Link {
        let others = link.channels & ~channels
        guard link.page == PagePool.full else {
            let kept = Link(link.page, channels)
            replace(kept, behind: before, device, at: place)
            insert(Link(pages.copy(link.page), others), device, at: place)
            return kept
        }
        // The page of a whole day is not written, and stays the last.
        replace(others == 0 ? .none : Link(PagePool.full, others), behind: before, device, at: place)
        let copy = Link(pages.copy(link.page), channels)
        insert(copy, device, at: place)
        return copy
    }

    private func next(behind link: Link) -> Link {
        link.page == PagePool.full ? .none : Link(word: pages.owner(of: link.page))
    }

    /// Makes `link` the one behind `before`, or the day's first.
    private mutating func replace(_ link: Link, behind before: Link, _ device: Int, at place: Int) {
        if before == .none {
            days[device][place].first = link
        } else {
            pages.setOwner(link.word, of: before.page)
        }
    }

    /// Makes `link` the day's first.
    private mutating func insert(_ link: Link, _ device: Int, at place: Int) {
        if link.page != PagePool.full { pages.setOwner(days[device][place].first.word, of: link.page) }
        days[device][place].first = link
    }

    private func links(of day: Day) -> [Link] {
        var links: [Link] = []
        var link = day.first
        while link != .none {
            links.append(link)
            link = next(behind: link)
        }
        return links
    }
}

// Read-only access for queries: see MinuteLedger+Devices.swift.
extension MinuteLedger {
    /// All device numbers are below this one; some may be unused.
    var deviceNumbers: Int { devices.names.count }

    func name(of number: Int) -> DeviceID { devices.names[number] }

    /// The newest message of a device; nil for an unused number, and when no message of the device became durable.
    func lastMessage(of number: Int) -> LastMessage? { contacts[number]?.last }

    /// The number of a device; nil when the ledger does not know the device.
    func number(known device: DeviceID) -> Int? { devices.number(of: device) }

    /// A device's pages by channel: the newest day first, and within a day the last channel first.
    func newestPages(of number: Int) -> some Sequence<Page> {
        days[number].reversed().lazy.flatMap { day in
            let links = links(of: day)
            return (0..<4).reversed().compactMap { channel in
                links.first { $0.channels >> UInt32(channel) & 1 == 1 }.map {
                    Page(day: Int64(day.day), channel: channel, number: $0.page)
                }
            }
        }
    }

    /// A page's bits, one for each minute of its day.
    func words(of page: Page) -> [UInt32] { Array(pages.bits(of: page.number)) }

    /// The newest minute of a page, in minutes since 1970; nil when it has none, such as after a failed group.
    func lastMinute(of page: Page) -> Int64? {
        for word in (0..<PagePool.words).reversed() where pages[page.number, word] != 0 {
            let bit = word * 32 + 31 - pages[page.number, word].leadingZeroBitCount
            return page.day * .minutesPerDay + Int64(bit)
        }
        return nil
    }
}
