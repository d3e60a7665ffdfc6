import ArgumentParser
import Time

/// A point in time on the command line.
struct PointInTime: ExpressibleByArgument {
    /// Rounded up: a reading has whole seconds, so it is before the point in time if it is before this.
    let unixSeconds: Int64

    init?(argument: String) {
        guard let time = Timestamp(argument) else { return nil }
        unixSeconds = time.unixSeconds + (time.unixMilliseconds == time.unixSeconds * 1000 ? 0 : 1)
    }
}
