internal import Glibc
public import Spool
public import SystemPackage

/// Checks the spool's file system, and how fast it makes a write durable.
///
/// It writes to an unnamed file in the spool's directory, which disappears when this process ends at the latest.
public struct DiskCheck {
    private let path: FilePath
    private let acceptsLosses: Bool
    private let disk: any Disk

    /// - Parameter acceptsLosses: whether the receiver starts where acknowledged readings can be lost.
    public init(_ path: FilePath, acceptsLosses: Bool, disk: any Disk = SystemDisk()) {
        self.path = path
        self.acceptsLosses = acceptsLosses
        self.disk = disk
    }

    public func results() -> [CheckResult] { [fileSystem(), speed()] }

    private var kind: SpoolFileSystem? { try? SpoolFileSystem(at: path) }

    private func fileSystem() -> CheckResult {
        let subject = "file system"
        let kind: SpoolFileSystem
        do {
            kind = try SpoolFileSystem(at: path)
        } catch {
            return .fail(subject, "\(path) cannot be examined: \(error)", do: "check the disk (dmesg)")
        }
        guard let risk = kind.risk else { return .ok(subject, kind.name) }
        // The receiver does not start there.
        if kind.isRefused, !acceptsLosses { return .fail(subject, risk, do: kind.remedy) }
        return .warn(subject, risk, do: kind.remedy)
    }

    private static let rounds = 20
    private static let timeout = Duration.seconds(3)
    private static let slow = Duration.milliseconds(20)
    private static let tooFast = Duration.microseconds(20)

    private func speed() -> CheckResult {
        let subject = "sync speed"
        let durations: [Duration]
        do {
            durations = try measure()
        } catch {
            let remedy =
                error == .noSpace
                ? "make room on the disk"
                : "check the disk (dmesg); the receiver can take no batch meanwhile"
            return .fail(subject, "a file in \(path) cannot be written and synchronized: \(error)", do: remedy)
        }
        let median = durations.sorted()[durations.count / 2]
        let text = "4 KiB are durable in \(Self.text(median)) (median of \(durations.count))"
        if median > Self.slow {
            return .warn(
                subject, text,
                do: "no batch is answered faster than that; concurrent batches share one wait, and a faster disk "
                    + "shortens it")
        }
        if median < Self.tooFast, kind?.isRefused != true {
            return .warn(
                subject, "\(text), faster than a disk can be: a layer below may not wait for its write cache",
                do: "make sure that the disk, its controller or the hypervisor survives a power cut")
        }
        return .ok(subject, text)
    }

    private func measure() throws(Errno) -> [Duration] {
        let name = path.appending("check-\(getpid()).tmp")
        let file = try disk.create(name)
        try disk.remove(name)
        let block = [UInt8](repeating: 0x2E, count: 4096)
        var durations: [Duration] = []
        let begin = ContinuousClock.now
        while durations.count < Self.rounds, durations.isEmpty || begin.duration(to: .now) < Self.timeout {
            let start = ContinuousClock.now
            let offset = durations.count * block.count
            try file.writeAll(block[...], at: offset)
            try file.synchronize()
            durations.append(start.duration(to: .now))
        }
        return durations
    }

    private static func text(_ duration: Duration) -> String {
        let microseconds = Int(duration / .microseconds(1))
        if microseconds < 1000 { return "\(microseconds) µs" }
        return "\(microseconds / 1000).\(microseconds / 100 % 10) ms"
    }
}
