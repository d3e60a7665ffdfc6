// Spool: the spool: its format, the writer, the reader, and the narrow seam to the file system.
// Begin here, then SpoolWriter.swift and SegmentReader.swift.
// Uses Text, Time.

internal import FoundationEssentials
public import SystemPackage

/// A spool on disk: its identity, its folders and the segments in them.
///
///     spool.json                 identity, format version
///     pending/00000017.spool     being written, or not fully loaded
///     loaded/00000016.spool      fully loaded, kept for replay
///     loaded/00000015.spool.zst  the same, compressed
///     rejected/2026-11-23.ndjson messages and readings that could not be loaded
///     ledger/00000016.keys       the receiver's digests of segments
public struct SpoolDirectory: Sendable {
    public let path: FilePath
    public let disk: any Disk
    /// The spool's UUID, from `spool.json`.
    public let identity: String

    /// An identity that no spool has.
    public static let noIdentity = "00000000-0000-0000-0000-000000000000"

    public let pending: FilePath
    public let loaded: FilePath
    public let rejected: FilePath
    public let ledger: FilePath

    /// Opens the spool at `path` and creates its missing parts.
    public init(creating path: FilePath, disk: any Disk = SystemDisk()) throws(SpoolError) {
        for directory in [path] + ["pending", "loaded", "rejected", "ledger"].map({ path.appending($0) }) {
            try Spool.disk("make directory", directory) { () throws(Errno) in try disk.makeDirectory(directory) }
        }
        try Self.createIdentity(in: path, disk)
        try Self.synchronizeUpwards(from: path, disk)
        try self.init(existing: path, disk: disk)
    }

    /// Opens the spool at `path`. Throws `unfit` if there is none.
    public init(existing path: FilePath, disk: any Disk = SystemDisk()) throws(SpoolError) {
        let file = path.appending("spool.json")
        let content: [UInt8]
        do throws(Errno) {
            content = try Self.contents(of: file, disk)
        } catch .noSuchFileOrDirectory {
            throw .unfit(path, "there is no spool here (spool.json is missing)")
        } catch {
            throw .disk("read", file, error)
        }
        guard let identity = content.withUnsafeBytes({ SegmentFormat.parse(Identity.self, $0) }),
            identity.format == SegmentHeader.formatName
        else { throw .unfit(file, "is not a spool's identity; restore it from a segment's header line") }
        guard identity.version == SegmentHeader.knownVersion else {
            throw .unfit(
                file, "has format version \(identity.version), this program supports \(SegmentHeader.knownVersion)")
        }
        self.path = path
        pending = path.appending("pending")
        loaded = path.appending("loaded")
        rejected = path.appending("rejected")
        ledger = path.appending("ledger")
        self.disk = disk
        self.identity = identity.spool
    }

    /// A segment's file.
    public struct Segment: Sendable, Equatable {
        public let number: Int
        fileprivate let directory: FilePath
        fileprivate let name: String
        /// Whether the file is in `loaded/` rather than `pending/`.
        public let isLoaded: Bool
        /// Whether the file is compressed. `Disk.openSegment` opens both kinds.
        public let isCompressed: Bool

        public var path: FilePath { directory.appending(name) }
    }

    /// All segments by number. A segment that is listed twice, while it is being moved or compressed, is returned from
    /// `pending/`, or else as the plain file.
    public func segments() throws(SpoolError) -> [Segment] {
        // `pending/` first, and compressed files last: a segment that is moved or compressed in between is then listed
        // twice rather than missed.
        var found: [Int: Segment] = [:]
        for (directory, isLoaded, isCompressed) in [
            (pending, false, false), (loaded, true, false), (loaded, true, true),
        ] {
            let names = try Spool.disk("list", directory) { () throws(Errno) in try disk.names(in: directory) }
            for name in names {
                guard let (number, kind) = SegmentFileName.parts(of: name), kind == isCompressed, found[number] == nil
                else { continue }
                found[number] = Segment(
                    number: number, directory: directory, name: name, isLoaded: isLoaded, isCompressed: isCompressed)
            }
        }
        return found.values.sorted { $0.number < $1.number }
    }

    /// The totals over all segments and dead letters.
    public struct Inventory: Sendable, Equatable {
        /// The number of the first segment that retention has not reached, or nil if there is none.
        public var oldest: Int?
        /// Bytes of both, which `SPOOL_BYTES` bounds.
        public var bytes = 0
        /// Bytes of the dead letters alone.
        public var deadLetterBytes = 0
    }

    /// Adds up the bytes of segments and dead letters.
    public func inventory() throws(SpoolError) -> Inventory {
        var inventory = Inventory()
        let segments = try segments()
        inventory.oldest = oldest(of: segments)?.number
        for segment in segments { inventory.bytes += try size(of: segment.path) }
        for file in try deadLetterFiles() { inventory.deadLetterBytes += try size(of: file) }
        inventory.bytes += inventory.deadLetterBytes
        return inventory
    }

    private func size(of path: FilePath) throws(SpoolError) -> Int {
        // It is gone if it was moved or pruned after it was listed. The next inventory will be right.
        try diskIfPresent("examine", path) { () throws(Errno) in try disk.size(of: path) } ?? 0
    }

    /// The files in `rejected/`, sorted by day.
    public func deadLetterFiles() throws(SpoolError) -> [FilePath] {
        let names = try diskIfPresent("list", rejected) { () throws(Errno) in try disk.names(in: rejected) } ?? []
        return names.filter { $0.hasSuffix(".ndjson") }.sorted().map(rejected.appending)
    }

    /// Opens a segment at its present path and makes its contents durable (invariant 3).
    public func openAndSynchronize(_ segment: Segment) throws(SpoolError) -> any DiskFile {
        do throws(Errno) {
            let file = try openWherever(segment)
            try file.synchronize()
            return file
        } catch {
            throw .disk("open and synchronize", segment.path, error)
        }
    }

    /// Opens a segment, even if it was moved or compressed after it was listed.
    public func openWherever(_ segment: Segment) throws(Errno) -> any DiskFile {
        let moved = loaded.appending(SegmentFileName.plain(segment.number))
        for path in [segment.path, moved] {
            do throws(Errno) { return try disk.openSegment(path) } catch .noSuchFileOrDirectory {}
        }
        return try disk.openSegment(compressedPath(segment.number))
    }

    /// Like `openAndSynchronize`, but reads come from the disk rather than from the page cache.
    ///
    /// The two differ after a failed fdatasync(2), in a process that started after the one that saw the failure. The
    /// kernel has marked the pages clean, so they can still be read, and another fdatasync(2) succeeds without writing
    /// them. A segment with a footer had no such failure, and a compressed one was read from the disk when it was made.
    public func openBypassingPageCache(_ segment: Segment) throws(SpoolError) -> any DiskFile {
        let file = try openAndSynchronize(segment)
        do throws(Errno) {
            if !(file is CompressedSegment), try file.segmentFooter() == nil { try file.dropPageCache() }
            return file
        } catch {
            throw .disk("read", segment.path, error)
        }
    }

    /// Makes the folders' entries durable (invariant 3).
    public func synchronize() throws(SpoolError) {
        for directory in [pending, loaded] {
            try Spool.disk("synchronize", directory) { () throws(Errno) in try disk.synchronizeDirectory(directory) }
        }
    }

    /// Moves a fully loaded segment from `pending/` to `loaded/`, and returns it from there.
    @discardableResult
    public func moveToLoaded(_ number: Int) throws(SpoolError) -> Segment {
        let name = SegmentFileName.plain(number)
        let source = pending.appending(name)
        let target = loaded.appending(name)
        // rename(2) would replace a file of the same name, for example a segment that was copied back by hand.
        let present = try Spool.disk("list", loaded) { () throws(Errno) in try disk.names(in: loaded) }
        if let other = present.first(where: { SegmentFileName.number(of: $0) == number }) {
            throw .unfit(
                source, "cannot be moved, \(loaded.appending(other)) already exists; compare the two and remove one")
        }
        try Spool.disk("move", source) { () throws(Errno) in try disk.rename(source, to: target) }
        try synchronize()
        return Segment(number: number, directory: loaded, name: name, isLoaded: true, isCompressed: false)
    }

    /// Bytes that may still be written to the spool's file system.
    public func availableBytes() throws(SpoolError) -> Int {
        try Spool.disk("examine", path) { () throws(Errno) in try disk.availableBytes(at: path) }
    }

    /// The file of a segment that is compressed.
    public func compressedPath(_ number: Int) -> FilePath {
        loaded.appending(SegmentFileName.plain(number) + SegmentFileName.compressedSuffix)
    }
}

extension SpoolDirectory {
    private struct Identity: Codable {
        let format: String
        let version: Int
        let spool: String
    }

    /// Writes `spool.json` unless it exists. If receiver and loader both try, link(2) decides whose file is kept.
    private static func createIdentity(in path: FilePath, _ disk: any Disk) throws(SpoolError) {
        let target = path.appending("spool.json")
        let uuid = UUID().uuidString.lowercased()
        let draft = path.appending("spool.json.\(uuid)")
        let content = SegmentFormat.line(
            Identity(format: SegmentHeader.formatName, version: SegmentHeader.knownVersion, spool: uuid))
        do throws(Errno) {
            if (try? disk.open(target)) != nil { return }
            let file = try disk.create(draft)
            try file.writeAll(content[...], at: 0)
            try file.synchronize()
            do throws(Errno) { try disk.link(draft, to: target) } catch .fileExists {}
            try disk.remove(draft)
        } catch {
            throw .disk("create", target, error)
        }
    }

    /// The bytes of a file in the spool.
    public func contents(of path: FilePath) throws(Errno) -> [UInt8] {
        let file = try disk.open(path)
        return try file.bytes(0..<(try file.size()))
    }

    /// Makes the entries of the spool's directory and of all its parents durable, since any of them may be new. Without
    /// its entry, a power failure would remove a directory with the synchronized segments in it.
    private static func synchronizeUpwards(from path: FilePath, _ disk: any Disk) throws(SpoolError) {
        var directory = path
        while true {
            do throws(Errno) {
                try disk.synchronizeDirectory(directory)
            } catch .permissionDenied where directory != path {
                // A directory that this process may not read was not created by it.
            } catch {
                throw .disk("synchronize", directory, error)
            }
            guard directory.lastComponent != nil, directory != "." else { return }
            directory.removeLastComponent()
            if directory.isEmpty { directory = "." }
        }
    }

    static func contents(of path: FilePath, _ disk: any Disk) throws(Errno) -> [UInt8] {
        try disk.open(path).bytes(0..<(64 << 10))
    }
}
