/// A length of time for people, in one or two units.
public struct Age: Sendable, CustomStringConvertible {
    private let seconds: Int64

    /// A negative age, of a time in the future, is 0.
    public init(seconds: Int64) { self.seconds = max(0, seconds) }
    public init(_ duration: Duration) { self.init(seconds: duration.components.seconds) }

    /// `12 s`, `4 min`, `3 h 5 min`, `2 d 3 h`.
    public var description: String {
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400)
        return switch seconds {
        case ..<60: "\(seconds) s"
        case ..<3600: "\(minutes) min"
        case ..<172_800: "\(hours) h" + (minutes % 60 == 0 ? "" : " \(minutes % 60) min")
        default: "\(days) d" + (hours % 24 == 0 ? "" : " \(hours % 24) h")
        }
    }
}
