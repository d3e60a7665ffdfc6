import Foundation
import Synchronization

/// A small file system, mounted for one test: it can be full or read-only, and its power can be cut.
final class MountedDisk: Sendable {
    enum Kind: String {
        /// In a file, through a loop device.
        case ext4
        case tmpfs
        /// An overlay, like the root of a container. Its layers are on a tmpfs, because an overlay cannot have its
        /// layers on an overlay. The mount hides them.
        case overlay
        /// Like the root of a machine that keeps changes in memory: its layers are on a tmpfs that stays visible.
        case overlayOnMemory
    }

    /// The reason why no file system can be mounted here; nil if one can.
    static let obstacle: String? = {
        guard geteuid() == 0 else { return "only root may mount a file system" }
        do {
            try MountedDisk(.ext4, megabytes: 8).unmount()
            return nil
        } catch {
            return "no file system can be mounted here: \(error)"
        }
    }()

    let path: String
    /// The mount point of the tmpfs with an overlay's layers.
    private let layers: String?
    private let image: String
    private let isMounted = Mutex(false)

    /// - Parameter options: options of mount(8), without the `size=` of a tmpfs.
    init(_ kind: Kind, megabytes: Int, options: String = "") throws {
        let base = NSTemporaryDirectory() + "shelly-disk-" + UUID().uuidString.prefix(8)
        path = base + "/mount"
        layers = kind == .overlay ? path : kind == .overlayOnMemory ? base : nil
        image = base + "/image"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        switch kind {
        case .ext4:
            try Self.run("truncate", "-s", "\(megabytes)M", image)
            try Self.run("mkfs.ext4", "-q", "-F", image)
            try mount()
        case .tmpfs:
            try Self.run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)M" + options, "shelly", path)
            isMounted.withLock { $0 = true }
        case .overlay, .overlayOnMemory:
            let layers = layers!
            try Self.run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)M", "shelly", layers)
            isMounted.withLock { $0 = true }
            for directory in [layers + "/lower", layers + "/upper", layers + "/work", path] {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            }
            let places = "lowerdir=\(layers)/lower,upperdir=\(layers)/upper,workdir=\(layers)/work"
            try Self.run("mount", "-t", "overlay", "-o", places + options, "shelly", path)
        }
    }

    deinit {
        if isMounted.withLock({ $0 }) {
            try? Self.run("umount", "-l", "-R", path)
            if let layers { try? Self.run("umount", "-l", "-R", layers) }
        }
        try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent)
    }

    /// Unmounts the file system. No process may have a file open on it.
    func unmount() throws {
        guard isMounted.withLock({ $0 }) else { return }
        try Self.run("umount", path)
        isMounted.withLock { $0 = false }
    }

    private func mount() throws {
        try Self.run("mount", "-o", "loop", image, path)
        isMounted.withLock { $0 = true }
    }

    func remount(_ options: String) throws { try Self.run("mount", "-o", "remount," + options, path) }

    /// From this call on no write reaches the disk, not even data that is waiting in memory.
    ///
    /// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
    func cutPower() throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        var flags: UInt32 = 2
        guard ioctl(descriptor, 0x8004_587D, &flags) == 0 else {
            throw Rig.Failure(description: "the power cannot be cut: errno \(errno)")
        }
    }

    /// Mounts the file system again, which replays its journal. It then holds the data that the disk had at the power
    /// cut.
    func restorePower() throws {
        try unmount()
        try mount()
    }

    private static func run(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] + arguments
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Rig.Failure(description: "\(arguments.joined(separator: " ")): \(text)")
        }
    }
}
