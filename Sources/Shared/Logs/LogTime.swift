internal import Glibc

/// A point in wall-clock time, in UTC.
struct LogTime {
    private let seconds: Int
    private let nanoseconds: Int

    /// Creates it from Unix time.
    init(seconds: Int, nanoseconds: Int = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    static var now: LogTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LogTime(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// Appends it in RFC 3339 format: `2026-11-25T00:12:03.123Z`.
    func append(to bytes: inout [UInt8], separator: UInt8, milliseconds: Bool) {
        var time = seconds
        var parts = tm()
        gmtime_r(&time, &parts)
        func put(_ value: Int32, _ separator: UInt8) {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 10 % 10))
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
            bytes.append(separator)
        }
        bytes.append(contentsOf: String(parts.tm_year + 1900).utf8)
        bytes.append(UInt8(ascii: "-"))
        put(parts.tm_mon + 1, UInt8(ascii: "-"))
        put(parts.tm_mday, separator)
        put(parts.tm_hour, UInt8(ascii: ":"))
        put(parts.tm_min, UInt8(ascii: ":"))
        put(parts.tm_sec, milliseconds ? UInt8(ascii: ".") : UInt8(ascii: "Z"))
        guard milliseconds else { return }
        bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: nanoseconds / 100_000_000))
        put(Int32(truncatingIfNeeded: nanoseconds / 1_000_000 % 100), UInt8(ascii: "Z"))
    }
}
