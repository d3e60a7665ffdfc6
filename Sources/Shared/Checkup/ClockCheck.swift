internal import CLinux
internal import Glibc
public import Spool
internal import Time

/// Checks this machine's clock, which sets times of receipt and the bounds of valid timestamps.
public struct ClockCheck {
    private let directory: SpoolDirectory?

    /// - Parameter directory: the spool. Its newest segment cannot be from the future.
    public init(_ directory: SpoolDirectory?) { self.directory = directory }

    public func result() -> CheckResult {
        let now = Int(Timestamp.now.unixSeconds)
        if let newest = newestWrite(), newest > now + 60 {
            return .fail(
                "clock",
                "the spool was last written \(newest - now) s in the future: this clock is or was wrong",
                do: "set the clock, and synchronize it with systemd-timesyncd or chrony")
        }
        var state = timex()
        guard adjtimex(&state) >= 0 else { return .ok("clock", "cannot see here whether NTP synchronizes it") }
        // The criterion of timedatectl(1): the kernel's error estimate is below 16 s. It grows unless NTP synchronizes
        // the clock.
        guard state.maxerror < 16_000_000 else {
            return .warn(
                "clock", "according to the kernel, NTP does not synchronize it",
                do: "enable systemd-timesyncd or chrony; messages from more than a day in the future are refused")
        }
        return .ok("clock", "synchronized by NTP, within \(state.maxerror / 1000) ms")
    }

    private func newestWrite() -> Int? {
        guard let segment = (try? directory?.segments())?.last else { return nil }
        var status = stat()
        return stat(segment.path.string, &status) == 0 ? status.st_mtim.tv_sec : nil
    }
}
