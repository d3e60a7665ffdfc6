import FoundationEssentials
import Glibc
import Synchronization

/// The time as in an answer's header (RFC 9110, 5.6.7), formatted once a second.
enum HTTPDate {
    private static let latest = Mutex((second: 0, text: ""))
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    static var now: String {
        let second = time(nil)
        return latest.withLock { latest in
            if latest.second != second { latest = (second, text(second)) }
            return latest.text
        }
    }

    /// A second since 1970 as `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func text(_ second: Int) -> String {
        let date = Date(timeIntervalSince1970: Double(second))
        // 1994-11-06T08:49:37Z
        let parts = date.formatted(Date.ISO8601FormatStyle()).split { "-TZ".contains($0) }
        guard parts.count == 4, let month = Int(parts[1]) else { return "" }
        return "\(weekdays[second / 86_400 % 7]), \(parts[2]) \(months[month - 1]) \(parts[0]) \(parts[3]) GMT"
    }
}
