/// Numbers devices in the order in which they come, and finds their numbers again.
///
/// Open addressing by the names' digests, as these are random already and the names are stored beside the table: a device
/// takes 16 bytes and 5 to 11 of the table, and a search no hashing.
public struct DeviceNumbers: Sendable {
    /// The devices by number. One that was removed stays in its place until that is taken again.
    public private(set) var names: [DeviceID] = []
    /// Numbers plus 1, each as near behind its home as there was room; 0 is a free place, of which there always are some.
    private var table: [UInt32] = []
    /// Numbers of devices that were removed.
    private var free: [UInt32] = []

    public init() {}

    /// How many devices there are.
    public var count: Int { names.count - free.count }

    /// The number of a device that is known.
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

    /// Numbers a device that is not known.
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

    /// Forgets a device; its number may become another's.
    public mutating func remove(_ number: Int) {
        var hole = home(of: names[number])
        while table[hole] != UInt32(number + 1) { hole = next(hole) }
        // What was pushed beyond the hole by what stood there moves back, as a search ends at a free place.
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

    /// Doubles the table, before the device that is added last has a place in it.
    private mutating func grow() {
        let numbers = table.filter { $0 != 0 }
        table = [UInt32](repeating: 0, count: max(16, table.count * 2))
        for number in numbers { place(Int(number) - 1) }
    }
}
