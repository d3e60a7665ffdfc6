import Synchronization
import Time

/// The time as in an answer's header, formatted once a second.
enum HTTPDate {
    private static let latest = Mutex((second: Int64(0), text: ""))

    static var now: String {
        let now = Timestamp.now
        return latest.withLock { latest in
            if latest.second != now.unixSeconds { latest = (now.unixSeconds, now.httpDate) }
            return latest.text
        }
    }
}
