internal import Glibc

/// The name of a member of `params`, such as `switch:0`.
struct ComponentName {
    /// nil for a component that has no meter, or none that this version knows.
    let type: ReadingRules.Component?
    /// The number after the colon; nil when there is none.
    let number: Int?

    init(_ name: UnsafeRawBufferPointer) {
        // Nearly every number has one digit, so a name with one is taken apart without a search for the colon.
        let digit = name.last.map { Int($0) - Int(UInt8(ascii: "0")) } ?? -1
        if name.count > 2, name[name.count - 2] == UInt8(ascii: ":"), 0...9 ~= digit {
            type = Self.type(UnsafeRawBufferPointer(rebasing: name[..<(name.count - 2)]))
            number = digit
            return
        }
        guard let colon = name.firstIndex(of: UInt8(ascii: ":")) else {
            (type, number) = (nil, nil)
            return
        }
        type = Self.type(UnsafeRawBufferPointer(rebasing: name[..<colon]))
        number = Self.number(name[(colon + 1)...])
    }

    private static func type(_ name: UnsafeRawBufferPointer) -> ReadingRules.Component? {
        switch name.count {
        case 6 where name.equals("switch"): .switch
        case 3 where name.equals("pm1"): .pm1
        case 3 where name.equals("em1"): .em1
        case 2 where name.equals("em"): .em
        case 5 where name.equals("cover"): .cover
        case 5 where name.equals("light"): .light
        case 3 where name.equals("rgb"): .rgb
        case 4 where name.equals("rgbw"): .rgbw
        case 3 where name.equals("cct"): .cct
        default: nil
        }
    }

    /// The channels that rules with its type give it, a bit for each.
    var channels: UInt8 {
        guard let type, let number, number < type.numbers else { return 0 }
        return type == .em ? 0b111 : 1 << number
    }

    /// A decimal number of one to three digits, without leading zeros.
    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard 1...3 ~= digits.count, digits.first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
        var number = 0
        for digit in digits {
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= digit else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    func equals(_ name: StaticString) -> Bool {
        guard let baseAddress, count == name.utf8CodeUnitCount else { return false }
        return memcmp(baseAddress, name.utf8Start, name.utf8CodeUnitCount) == 0
    }
}
