import Glibc
import Spool
import SystemPackage

/// The system's figures for this process, from proc(5).
struct ProcessFigures {
    /// Seconds of processor time, in user and system mode.
    let cpuSeconds: Double
    let residentMemoryBytes: Int
    let virtualMemoryBytes: Int
    /// When the process was started, in Unix seconds.
    let startTime: Double
    let openFiles: Int
    let maximumOpenFiles: Int

    private static let ticksPerSecond = Double(sysconf(CInt(_SC_CLK_TCK)))
    /// Read once, so that a change of the clock does not look like a restart.
    private static let bootTime = Self.seconds(CLOCK_REALTIME) - Self.seconds(CLOCK_BOOTTIME)

    /// Reads the present figures; nil where there is no such file system.
    static func read() -> ProcessFigures? {
        // The program's name may contain any character, so fields are counted from behind it. The first one is field 3.
        guard let status = contents(of: "/proc/self/stat"), let name = status.lastIndex(of: ")"),
            let files = try? SystemDisk().names(in: "/proc/self/fd")
        else { return nil }
        let fields = status[name...].split(separator: " ").dropFirst().map { Double($0) ?? 0 }
        guard fields.count > 21 else { return nil }
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return ProcessFigures(
            cpuSeconds: (fields[11] + fields[12]) / ticksPerSecond,
            residentMemoryBytes: Int(fields[21]) * Int(getpagesize()), virtualMemoryBytes: Int(fields[20]),
            startTime: bootTime + fields[19] / ticksPerSecond,
            // One of the files is the directory itself.
            openFiles: files.count - 1, maximumOpenFiles: Int(clamping: limit.rlim_cur))
    }

    private static func contents(of path: FilePath) -> String? {
        guard let file = try? SystemDisk().open(path) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { (try? file.read(into: $0, at: 0)) ?? 0 }
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
