internal import CLinux
internal import Glibc
public import Spool
public import SystemPackage

/// Checks the spool's file system, and how fast it makes a write durable.
///
/// It writes to an unnamed file in the spool's directory, which disappears when this process ends at the latest.
public struct DiskCheck {
    private let path: FilePath
    private let disk: any Disk

    public init(_ path: FilePath, disk: any Disk = SystemDisk()) {
        self.path = path
        self.disk = disk
    }

    public func findings() -> [Finding] { [fileSystem(), speed()] }

    private enum Nature { case local, memory, overlay, network, unknown }

    /// File systems by statfs(2) `f_type`.
    private static let kinds: [UInt32: (String, Nature)] = [
        0xEF53: ("ext4", .local), 0x5846_5342: ("xfs", .local), 0x9123_683E: ("btrfs", .local),
        0x2FC1_2FC1: ("zfs", .local), 0xF2F5_2010: ("f2fs", .local), 0xCA45_1A4E: ("bcachefs", .local),
        0x0102_1994: ("tmpfs", .memory), 0x8584_58F6: ("ramfs", .memory), 0x794C_7630: ("overlay", .overlay),
        0x6969: ("nfs", .network), 0xFF53_4D42: ("cifs", .network), 0xFE53_4D42: ("smb2", .network),
        0x6573_5546: ("fuse", .network), 0x0102_1997: ("9p", .network), 0x00C3_6400: ("ceph", .network),
    ]

    private var kind: (name: String, nature: Nature)? {
        var status = statfs()
        guard statfs(path.string, &status) == 0 else { return nil }
        let number = UInt32(truncatingIfNeeded: status.f_type)
        return Self.kinds[number] ?? ("unknown (0x\(String(number, radix: 16)))", .unknown)
    }

    private func fileSystem() -> Finding {
        let subject = "file system"
        guard let kind else {
            return .fail(
                subject, "\(path) cannot be examined: \(Errno(rawValue: errno))", do: "look at the disk (dmesg)")
        }
        switch kind.nature {
        case .local, .unknown: return .ok(subject, kind.name)
        case .memory:
            return .warn(
                subject, "\(kind.name) lies in memory: a power cut or a restart takes acknowledged readings away",
                do: "put the spool on a disk (SPOOL_DIR)")
        case .overlay:
            return .warn(
                subject, "overlay: the spool goes when the container is removed", do: "mount a volume for the spool")
        case .network:
            return .warn(
                subject, "\(kind.name) is no local disk: locks and durability are only as good as its server",
                do: "put the spool on a local disk, or be sure of that server")
        }
    }

    private static let rounds = 20
    private static let patience = Duration.seconds(3)
    private static let slow = Duration.milliseconds(20)
    private static let tooFast = Duration.microseconds(20)

    private func speed() -> Finding {
        let subject = "sync speed"
        let durations: [Duration]
        do {
            durations = try measure()
        } catch {
            let remedy =
                error == .noSpace
                ? "make room on the disk"
                : "look at the disk (dmesg); no batch can be taken like this"
            return .fail(subject, "a file in \(path) cannot be written and synchronized: \(error)", do: remedy)
        }
        let median = durations.sorted()[durations.count / 2]
        let text = "4 KiB are durable in \(Self.text(median)) (median of \(durations.count))"
        if median > Self.slow {
            return .warn(
                subject, text,
                do: "batches are answered no faster than that; many at once share a wait, a faster disk "
                    + "shortens it")
        }
        if median < Self.tooFast, kind?.nature != .memory {
            return .warn(
                subject, "\(text), faster than disks are: something on the way may not wait for its write cache",
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
        while durations.count < Self.rounds, durations.isEmpty || begin.duration(to: .now) < Self.patience {
            let start = ContinuousClock.now
            let offset = durations.count * block.count
            let result = block.withUnsafeBytes { bytes in
                Result { () throws(Errno) in try file.writeAll(bytes, at: offset) }
            }
            try result.get()
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
