// Time: points in time and lengths of time, as text for people and protocols.
// Begin here.
// Uses nothing else.

internal import FoundationEssentials
internal import Glibc

/// A point in time, to the millisecond. Its texts are in UTC.
///
/// Points in time for people, files, pages and rules have this type. Three kinds of numbers stay integers, as the formats
/// have them, because they are stored and compared by the million: a record's time of receipt (Unix milliseconds), the
/// time of a message or a reading (Unix seconds), and the minute of a reading (since 1970).
public struct Timestamp: Sendable, Hashable {
    public let unixMilliseconds: Int64

    public init(unixMilliseconds: Int64) { self.unixMilliseconds = unixMilliseconds }
    public init(unixSeconds: Int64) { self.init(unixMilliseconds: unixSeconds * 1000) }
    /// - Parameter minute: minutes since 1970.
    public init(minute: Int64) { self.init(unixSeconds: minute * 60) }

    /// The wall clock (clock_gettime(2) `CLOCK_REALTIME`).
    public static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(unixMilliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// Rounded down.
    public var unixSeconds: Int64 { unixMilliseconds.dividedDown(by: 1000) }

    /// Minutes since 1970, rounded down.
    public var minute: Int64 { unixMilliseconds.dividedDown(by: 60_000) }

    public var day: CalendarDay { CalendarDay(number: unixMilliseconds.dividedDown(by: 86_400_000)) }

    /// `2026-11-25T09:05:12.250Z`.
    public var iso8601: String { text(.milliseconds) + "Z" }

    /// The time in an HTTP header (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    public var httpDate: String {
        let (year, month, day) = day.date
        var bytes = Array("\(self.day.weekday), ".utf8)
        bytes.append(decimal: day, digits: 2)
        bytes.append(contentsOf: " \(CalendarDay.months[month - 1]) ".utf8)
        bytes.append(decimal: year, digits: 4)
        bytes.append(UInt8(ascii: " "))
        appendTime(.seconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self) + " GMT"
    }

    public enum Precision: Sendable { case minutes, seconds, milliseconds }

    /// `2026-11-25T09:05:12`, without the zone.
    public func text(_ precision: Precision, separator: Unicode.Scalar = "T") -> String {
        var bytes: [UInt8] = []
        append(precision, separator: separator, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `2026-11-25 09:05`, for people.
    public func readable(_ precision: Precision) -> String { text(precision, separator: " ") }

    /// Appends the same as `text` returns.
    public func append(_ precision: Precision, separator: Unicode.Scalar = "T", to bytes: inout [UInt8]) {
        day.append(to: &bytes)
        bytes.append(UInt8(ascii: separator))
        appendTime(precision, to: &bytes)
    }

    /// The time of day: `09:05`.
    public var clock: String {
        var bytes: [UInt8] = []
        appendTime(.minutes, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func appendTime(_ precision: Precision, to bytes: inout [UInt8]) {
        let milliseconds = Int(unixMilliseconds - day.number * 86_400_000)
        bytes.append(decimal: milliseconds / 3_600_000, digits: 2)
        bytes.append(UInt8(ascii: ":"))
        bytes.append(decimal: milliseconds / 60_000 % 60, digits: 2)
        guard precision != .minutes else { return }
        bytes.append(UInt8(ascii: ":"))
        bytes.append(decimal: milliseconds / 1000 % 60, digits: 2)
        guard precision != .seconds else { return }
        bytes.append(UInt8(ascii: "."))
        bytes.append(decimal: milliseconds % 1000, digits: 3)
    }
}

extension Timestamp: Comparable {
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.unixMilliseconds < b.unixMilliseconds }

    /// The time from `start` to `end`, negative if `start` is later.
    public static func - (end: Timestamp, start: Timestamp) -> Duration {
        .milliseconds(end.unixMilliseconds - start.unixMilliseconds)
    }

    public static func - (time: Timestamp, duration: Duration) -> Timestamp {
        Timestamp(unixMilliseconds: time.unixMilliseconds - Int64(duration / .milliseconds(1)))
    }
}

/// As text and in JSON, it is its ISO 8601 text.
extension Timestamp: CustomStringConvertible, Codable {
    public var description: String { iso8601 }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let time = Timestamp(iso8601: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time as in ISO 8601")
        }
        self = time
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(iso8601)
    }
}

extension Timestamp {
    /// Parses a date and time with `Z` or an offset, with or without a fraction (ISO 8601).
    public init?(iso8601 text: String) {
        for style in [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()] {
            guard let date = try? Date(text, strategy: style) else { continue }
            self.init(unixMilliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
            return
        }
        return nil
    }

    /// Parses a person's input: a date (midnight UTC), a date and time as above, or Unix seconds.
    public init?(_ text: String) {
        if let day = CalendarDay(text) {
            self.init(unixMilliseconds: day.number * 86_400_000)
        } else if let seconds = Int64(text) {
            // Eight digits are a date without its dashes rather than a day in 1970.
            guard text.utf8.count != 8, seconds.magnitude <= Int64.max / 1000 else { return nil }
            self.init(unixSeconds: seconds)
        } else {
            self.init(iso8601: text)
        }
    }
}
