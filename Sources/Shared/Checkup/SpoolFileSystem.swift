internal import CLinux
internal import Glibc
public import SystemPackage

/// The file system that a spool lies on, and whether its `fsync` makes acknowledged batches durable.
public struct SpoolFileSystem: Sendable, Equatable {
    /// Where the file system keeps synchronized data.
    public enum Nature: Sendable {
        /// On a disk of this machine.
        case local
        /// In memory.
        case memory
        /// In the writable layer of a container.
        case overlay
        /// The same, mounted so that fsync does nothing.
        case volatileOverlay
        /// On another machine, or wherever the program behind it puts it.
        case remote
        /// A type that is not in the table.
        case unknown
    }

    /// The name that mount(8) has for it, `overlay on tmpfs` for an overlay whose upper layer is in memory, and `unknown (0x…)` for a
    /// type that is not in the table.
    public let name: String
    public let nature: Nature

    /// - Parameters:
    ///   - type: statfs(2) `f_type`.
    ///   - options: mount options of this file system, of which only those that turn fsync off matter.
    ///   - upperType: `f_type` of an overlay's upper layer, which has the data; nil if unknown.
    public init(type: UInt32, options: [Substring] = [], upperType: UInt32? = nil) {
        let (name, nature) = Self.kinds[type] ?? ("unknown (0x\(String(type, radix: 16)))", .unknown)
        let upper = upperType.flatMap { Self.kinds[$0] }
        if nature == .overlay, let upper, upper.1 == .memory {
            self.name = "\(name) on \(upper.0)"
            self.nature = .memory
            return
        }
        // The second is how Linux 6.18 shows the first.
        let isVolatile = nature == .overlay && options.contains { $0 == "volatile" || $0 == "fsync=volatile" }
        self.name = name
        self.nature = isVolatile ? .volatileOverlay : nature
    }

    /// The file system at a path, or at its nearest ancestor that exists.
    public init(at path: FilePath) throws(Errno) {
        var place = path.isEmpty ? "." : path
        while true {
            do {
                let type = try Self.type(at: place)
                let options = MountOptions.ofFileSystem(at: place)
                // The path may be of another mount namespace, as in a container, and lead nowhere here.
                let upperType = MountOptions.upperDirectory(options).flatMap { try? Self.type(at: $0) }
                self.init(type: type, options: options, upperType: upperType)
                return
            } catch {
                guard error == .noSuchFileOrDirectory, place.lastComponent != nil else { throw error }
                place.removeLastComponent()
                if place.isEmpty { place = "." }
            }
        }
    }

    /// statfs(2) `f_type`.
    private static func type(at path: FilePath) throws(Errno) -> UInt32 {
        var status = statfs()
        guard statfs(path.string, &status) == 0 else { throw Errno(rawValue: errno) }
        return UInt32(truncatingIfNeeded: status.f_type)
    }

    /// Whether the receiver must not start there, because acknowledged batches would be in memory only.
    public var isRefused: Bool { nature == .memory || nature == .volatileOverlay }

    /// Why acknowledged readings can be lost there; nil where the file system gives no reason to expect it.
    public var risk: String? {
        switch nature {
        case .local, .unknown: nil
        case .memory: "\(name) lies in memory: a restart of the machine or container loses acknowledged readings"
        case .overlay:
            "\(name) is a container's own layer: it is removed with the container"
        case .volatileOverlay:
            "\(name) is mounted with the option volatile, so that fsync does nothing: a power failure loses acknowledged "
                + "readings"
        case .remote:
            "\(name) is no local disk: locks and durability are only as good as the server or program behind it"
        }
    }

    /// How to avoid the risk.
    public var remedy: String {
        switch nature {
        case .local, .unknown: "nothing has to be done"
        case .memory: "put the spool on a disk (SPOOL_DIR), or set SPOOL_FILE_SYSTEM=any if losses are acceptable"
        case .overlay: "mount a volume for the spool (SPOOL_DIR)"
        case .volatileOverlay:
            "mount a volume for the spool (SPOOL_DIR), or set SPOOL_FILE_SYSTEM=any if losses are acceptable"
        case .remote: "put the spool on a local disk (SPOOL_DIR), or set SPOOL_FILE_SYSTEM=any if you trust that server"
        }
    }

    /// linux/magic.h; zfs, bcachefs, gfs2 and lustre from their own sources.
    private static let kinds: [UInt32: (String, Nature)] = [
        0xEF53: ("ext4", .local), 0x5846_5342: ("xfs", .local), 0x9123_683E: ("btrfs", .local),
        0x2FC1_2FC1: ("zfs", .local), 0xF2F5_2010: ("f2fs", .local), 0xCA45_1A4E: ("bcachefs", .local),
        0x3153_464A: ("jfs", .local), 0x5265_4973: ("reiserfs", .local), 0x3434: ("nilfs2", .local),
        0x0102_1994: ("tmpfs", .memory), 0x8584_58F6: ("ramfs", .memory),
        0x794C_7630: ("overlay", .overlay), 0x6175_6673: ("aufs", .overlay),
        0x6969: ("nfs", .remote), 0x517B: ("smb", .remote), 0xFF53_4D42: ("cifs", .remote),
        0xFE53_4D42: ("smb2", .remote), 0x6573_5546: ("fuse", .remote), 0x0102_1997: ("9p", .remote),
        0x00C3_6400: ("ceph", .remote), 0x5346_414F: ("afs", .remote), 0x0116_1970: ("gfs2", .remote),
        0x0BD0_0BD0: ("lustre", .remote), 0x786F_4256: ("vboxsf", .remote),
    ]
}
