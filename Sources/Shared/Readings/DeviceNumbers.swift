/// Numbers devices in the order in which they are added, and finds the number of a device.
///
/// A hash table with open addressing by the names' digests, which are random already. The names are stored beside the
/// table. A device takes 16 bytes plus 5 to 11 bytes of the table, and a search computes no hash.
public struct DeviceNumbers: Sendable {
    /// The devices by number. A removed device stays in its place until its number is reused.
    public private(set) var names: [DeviceID] = []
    /// Numbers plus 1, each in the first free place after its home. 0 is a free place, and there is always at least
    /// one.
    private var table: [UInt32] = []
    /// Numbers of devices that were removed.
    private var free: [UInt32] = []

    public init() {}

    /// Number of devices.
    public var count: Int { names.count - free.count }

    /// The number of a device, or nil if it is unknown.
    public func number(of device: DeviceID) -> Int? {
        guard !table.isEmpty else { return nil }
        var place = home(of: device)
        while table[place] != 0 {
            let number = Int(table[place]) - 1
            if names[number] == device { return number }
            place = next(place)
        }
        return nil
    }

    /// Adds an unknown device and returns its number.
    public mutating func add(_ device: DeviceID) -> Int {
        let number: Int
        if let free = free.popLast() {
            number = Int(free)
            names[number] = device
        } else {
            number = names.count
            names.append(device)
        }
        if count * 4 > table.count * 3 { grow() }
        place(number)
        return number
    }

    /// Removes a device. Its number may be reused for another device.
    public mutating func remove(_ number: Int) {
        var hole = home(of: names[number])
        while table[hole] != UInt32(number + 1) { hole = next(hole) }
        // Entries that the removed entry displaced beyond the hole move back, because a search ends at a free place.
        var place = next(hole)
        while table[place] != 0 {
            let distance = (place - home(of: names[Int(table[place]) - 1])) & (table.count - 1)
            if distance >= (place - hole) & (table.count - 1) {
                table[hole] = table[place]
                hole = place
            }
            place = next(place)
        }
        table[hole] = 0
        free.append(UInt32(number))
    }

    private func home(of device: DeviceID) -> Int { Int(truncatingIfNeeded: device.digest) & (table.count - 1) }

    private func next(_ place: Int) -> Int { (place + 1) & (table.count - 1) }

    private mutating func place(_ number: Int) {
        var place = home(of: names[number])
        while table[place] != 0 { place = next(place) }
        table[place] = UInt32(number + 1)
    }

    /// Doubles the table, before the device that was added last is placed in it.
    private mutating func grow() {
        let numbers = table.filter { $0 != 0 }
        table = [UInt32](repeating: 0, count: max(16, table.count * 2))
        for number in numbers { place(Int(number) - 1) }
    }
}
