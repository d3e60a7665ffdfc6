/// A day of the Gregorian calendar in UTC.
public struct CalendarDay: Sendable, Hashable, CustomStringConvertible {
    /// Days since 1970-01-01.
    public let number: Int64

    public init(number: Int64) { self.number = number }

    /// Parses `2026-11-24`; nil for any other text, for a day that does not exist, and for a day before 1970.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard text.utf8.count == 10, parts.map(\.utf8.count) == [4, 2, 2],
            text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: "-") }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            1...12 ~= month, 1...31 ~= day
        else { return nil }
        number = Self.number(year, month, day)
        // 2026-02-30 has the number of March 2.
        guard number >= 0, date == (year, month, day) else { return nil }
    }

    /// `2026-11-25`.
    public var description: String {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `25 Nov`.
    public var short: String { "\(date.day) \(Self.months[date.month - 1])" }

    static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]

    /// `Sun`.
    var weekday: String { Self.weekdays[Int(number - 7 * number.dividedDown(by: 7))] }

    func append(to bytes: inout [UInt8]) {
        let (year, month, day) = date
        bytes.append(decimal: year, digits: 4)
        bytes.append(UInt8(ascii: "-"))
        bytes.append(decimal: month, digits: 2)
        bytes.append(UInt8(ascii: "-"))
        bytes.append(decimal: day, digits: 2)
    }

    // Years are counted from March 1, so that the leap day is a year's last day, in periods of 400 years, which all have
    // the same number of days.
    private static let daysIn400Years: Int64 = 146_097
    private static let daysFrom0000March1To1970: Int64 = 719_468

    /// Year, month 1 to 12, day of the month.
    var date: (year: Int, month: Int, day: Int) {
        let sinceYear0 = number + Self.daysFrom0000March1To1970
        let period = sinceYear0.dividedDown(by: Self.daysIn400Years)
        let day = Int(sinceYear0 - period * Self.daysIn400Years)
        // Without the leap days before this day, each year has 365 days.
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        // From March on, five months have 153 days: 31, 30, 31, 30, 31.
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (
            Int(period) * 400 + year + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        )
    }

    private static func number(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let period = Int64(year).dividedDown(by: 400)
        let yearOfPeriod = year - Int(period) * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfPeriod = 365 * yearOfPeriod + yearOfPeriod / 4 - yearOfPeriod / 100 + dayOfYear
        return period * daysIn400Years + Int64(dayOfPeriod) - daysFrom0000March1To1970
    }
}

extension Int64 {
    /// The quotient, rounded down for negative numbers too.
    func dividedDown(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

extension [UInt8] {
    /// Appends a number in at least so many digits.
    mutating func append(decimal number: Int, digits: Int) {
        var divisor = (1..<digits).reduce(1) { divisor, _ in divisor * 10 }
        guard 0..<(10 * divisor) ~= number else { return append(contentsOf: String(number).utf8) }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}
