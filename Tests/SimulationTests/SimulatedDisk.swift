import Seeds
import Spool
import SystemPackage

/// A disk in memory that knows which bytes and names are durable, fails on demand, and can lose its power.
///
/// It promises as much as POSIX and ext4 promise and no more. A write is durable after a successful `synchronize` of
/// its file; until then a power cut can keep, lose or garble each block of it, in any order. A name is durable after
/// `synchronizeDirectory`; until then a power cut can keep or lose each operation on it. A failed `synchronize` marks
/// the file's blocks clean all the same, as Linux does: they are read back from the cache, and a later `synchronize`
/// succeeds without them. Only a file that was open at the failure reports it, once. A directory is a name, too.
///
/// Unchecked: the driver uses it from one thread at a time.
final class SimulatedDisk: Disk, @unchecked Sendable {
    /// The fault of one operation.
    enum Fault {
        case fails(Errno)
        /// A write takes only a part of the bytes, and returns their number.
        case short
        /// The operation takes this much longer.
        case slow(Duration)
        /// The process dies before or after the operation has its effect.
        case death(after: Bool)
    }

    /// The error of the operation at which the process died, and of every operation after it until `restart`.
    static let dead = Errno.noSuchProcess

    /// Decides the fault of the next operation, by its number, counted from 0 over the disk's life.
    var fault: (Int, Operation) -> Fault? = { _, _ in nil }
    private var opened: [OpenFile] = []
    private(set) var operations = 0
    private(set) var isDead = false
    /// Another process's action, which runs just before the operation of this number.
    var interlude: (operation: Int, body: () -> Void)?
    /// The disk's time: 1 ms passes for each operation, and more for a slow one.
    let clock = ManualClock()

    enum Operation: CaseIterable {
        case create, open, makeDirectory, list, rename, link, remove, synchronizeDirectory, examine
        case size, read, write, startWriteback, synchronize, dropPageCache
    }

    private final class Content {
        /// The bytes that a process reads.
        var cached: [UInt8] = []
        /// The bytes that are on the platter.
        var durable: [UInt8] = []
        /// Blocks of `cached` that differ from the platter; the next sync writes them.
        var dirty: Set<Int> = []
        /// The number of failed syncs.
        var failures = 0
    }

    /// An operation on names: the content of each name after it, nil for no file. A rename changes two names, and the
    /// file system's journal applies both changes or neither.
    private typealias Change = [(path: Name, content: Content?)]

    /// A file's directory and its name in it. A `FilePath` checks its text so often that the simulation would spend
    /// most of its time on that.
    private struct Name: Hashable {
        let directory: String
        let name: String

        init(_ path: FilePath) {
            self.init(path.string)
        }

        init(_ path: String) {
            let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) ?? path.startIndex
            directory = slash == path.startIndex ? "/" : String(path[..<slash])
            name = String(path.utf8[slash...].dropFirst()) ?? ""
        }
    }

    private static let blockBytes = 512

    private var directories: Set<String> = ["/"]
    private var durableDirectories: Set<String> = ["/"]
    /// The files as a process sees them, the files as the platter has them, and the changes that the platter does not
    /// have.
    private var files: [Name: Content] = [:]
    private var durableFiles: [Name: Content] = [:]
    private var changes: [Change] = []
    private var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// The bytes of every file in a directory by name, as a process would read them.
    func contents(of directory: FilePath) -> [String: [UInt8]] {
        var contents: [String: [UInt8]] = [:]
        let directory = directory.string
        for (path, content) in files where path.directory == directory { contents[path.name] = content.cached }
        return contents
    }

    /// Another process starts on the same machine. It reads everything that was written, durable or not.
    func restart() { isDead = false }

    /// The power fails and comes back. Bytes and names that were not durable are kept, lost or garbled, block by block
    /// and name by name.
    func losePower() {
        isDead = false
        // The changes of a name reach the platter in their order, so a lost change loses all later ones of its names.
        var lost: Set<Name> = []
        for change in changes {
            if change.contains(where: { lost.contains($0.path) }) || Bool.random(using: &random) {
                lost.formUnion(change.map(\.path))
            } else {
                for (path, content) in change { durableFiles[path] = content }
            }
        }
        changes = []
        for path in directories.sorted() {
            let isDurable = durableDirectories.contains(path) || Bool.random(using: &random)
            if isDurable, directories.contains(Name(path).directory) { continue }
            directories.remove(path)
            durableFiles = durableFiles.filter { $0.key.directory != path }
        }
        durableDirectories = directories
        files = durableFiles
        var seen: Set<ObjectIdentifier> = []
        for (_, content) in files.sorted(by: { ($0.key.directory, $0.key.name) < ($1.key.directory, $1.key.name) })
        where seen.insert(ObjectIdentifier(content)).inserted {
            losePower(content)
        }
    }

    private func losePower(_ content: Content) {
        let block = Self.blockBytes
        // The length is written separately from the blocks, so any length between the durable and the cached one is
        // possible.
        let lengths =
            min(content.durable.count, content.cached.count)...max(content.durable.count, content.cached.count)
        let count = Bool.random(using: &random) ? content.cached.count : Int.random(in: lengths, using: &random)
        var result = content.durable
        result += [UInt8](repeating: 0, count: max(0, count - result.count))
        for number in content.dirty.sorted() {
            let range = (number * block)..<max(number * block, min((number + 1) * block, count, content.cached.count))
            guard !range.isEmpty else { continue }
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1: result.replaceSubrange(range, with: content.cached[range])
            case 2: break
            default:
                // Only bytes that were not durable can be garbled: a sector is written as a whole or not at all.
                for index in range where index >= content.durable.count {
                    result[index] = UInt8.random(in: 0...255, using: &random)
                }
            }
        }
        result.removeLast(result.count - max(count, content.durable.count))
        content.cached = result
        content.durable = result
        content.dirty = []
    }

    func create(_ path: FilePath) throws(Errno) -> any DiskFile {
        let content = Content()
        let name = Name(path)
        try perform(.create) { disk throws(Errno) in
            guard disk.directories.contains(name.directory) else { throw .noSuchFileOrDirectory }
            guard disk.files[name] == nil else { throw .fileExists }
            disk.apply([(name, content)])
        }
        return File(content, self)
    }

    func openOrCreate(_ path: FilePath) throws(Errno) -> any DiskFile {
        if files[Name(path)] == nil { return try create(path) }
        return try open(path)
    }

    func open(_ path: FilePath) throws(Errno) -> any DiskFile {
        try perform(.open) { _ throws(Errno) in }
        return File(try content(of: Name(path)), self)
    }

    func makeDirectory(_ path: FilePath) throws(Errno) {
        try perform(.makeDirectory) { disk throws(Errno) in
            var path = path.string
            while disk.directories.insert(path).inserted { path = Name(path).directory }
        }
    }

    func names(in directory: FilePath) throws(Errno) -> [String] {
        try perform(.list) { disk throws(Errno) in
            guard disk.directories.contains(directory.string) else { throw .noSuchFileOrDirectory }
        }
        return contents(of: directory).keys.sorted()
    }

    func rename(_ source: FilePath, to target: FilePath) throws(Errno) {
        try perform(.rename) { disk throws(Errno) in
            let (source, target) = (Name(source), Name(target))
            disk.apply([(target, try disk.content(of: source)), (source, nil)])
        }
    }

    func link(_ source: FilePath, to target: FilePath) throws(Errno) {
        try perform(.link) { disk throws(Errno) in
            guard disk.files[Name(target)] == nil else { throw .fileExists }
            disk.apply([(Name(target), try disk.content(of: Name(source)))])
        }
    }

    func remove(_ path: FilePath) throws(Errno) {
        try perform(.remove) { disk throws(Errno) in
            _ = try disk.content(of: Name(path))
            disk.apply([(Name(path), nil)])
        }
    }

    func synchronizeDirectory(_ path: FilePath) throws(Errno) {
        try perform(.synchronizeDirectory) { disk throws(Errno) in
            let directory = path.string
            guard disk.directories.contains(directory) else { throw .noSuchFileOrDirectory }
            // Changes in this directory, and earlier changes of the same names in other directories.
            var wanted: Set<Name> = []
            var later: [Change] = []
            for change in disk.changes.reversed() {
                if change.contains(where: { $0.path.directory == directory || wanted.contains($0.path) }) {
                    wanted.formUnion(change.map(\.path))
                } else {
                    later.append(change)
                }
            }
            for change in disk.changes where change.contains(where: { wanted.contains($0.path) }) {
                for (path, content) in change { disk.durableFiles[path] = content }
            }
            disk.changes = later.reversed()
            for path in disk.directories.subtracting(disk.durableDirectories) where Name(path).directory == directory {
                disk.durableDirectories.insert(path)
            }
        }
    }

    func availableBytes(at path: FilePath) throws(Errno) -> Int {
        try perform(.examine) { _ throws(Errno) in }
        return 1 << 40
    }

    /// Whether an open file has yet to report a failed sync. Each open file reports it once, whichever of them was
    /// synchronized (fsync(2)).
    var hasUnreportedFailures: Bool {
        opened.contains { $0.file.map { $0.toldFailures != $0.content.failures } ?? false }
    }

    private struct OpenFile { weak var file: File? }

    private func apply(_ change: Change) {
        for (path, content) in change { files[path] = content }
        changes.append(change)
    }

    private func content(of path: Name) throws(Errno) -> Content {
        guard let content = files[path] else { throw .noSuchFileOrDirectory }
        return content
    }

    /// Runs one operation with its fault, if it has one.
    private func perform(
        _ operation: Operation, onFailure: (SimulatedDisk) -> Void = { _ in },
        _ effect: (SimulatedDisk) throws(Errno) -> Void
    ) throws(Errno) {
        meanwhile()
        guard !isDead else { throw Self.dead }
        let number = operations
        operations += 1
        clock.advance(.milliseconds(1))
        switch fault(number, operation) {
        case .fails(let cause):
            onFailure(self)
            throw cause
        case .death(let after):
            if after { try effect(self) }
            isDead = true
            throw Self.dead
        case .slow(let duration):
            clock.advance(duration)
            try effect(self)
        case .short, nil:
            try effect(self)
        }
    }

    private func meanwhile() {
        guard let interlude, interlude.operation <= operations else { return }
        self.interlude = nil
        interlude.body()
    }

    private final class File: DiskFile {
        fileprivate let content: Content
        private let disk: SimulatedDisk
        /// The number of failed syncs that came before this file was opened, or that it has reported.
        fileprivate private(set) var toldFailures: Int

        init(_ content: Content, _ disk: SimulatedDisk) {
            self.content = content
            self.disk = disk
            toldFailures = content.failures
            disk.opened.append(OpenFile(file: self))
        }

        func size() throws(Errno) -> Int {
            try disk.perform(.size) { _ throws(Errno) in }
            return content.cached.count
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
            try disk.perform(.read) { _ throws(Errno) in }
            let bytes = content.cached.dropFirst(offset).prefix(buffer.count)
            buffer.copyBytes(from: bytes)
            return bytes.count
        }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
            disk.meanwhile()
            var count = bytes.count
            let number = disk.operations
            if !disk.isDead {
                switch disk.fault(number, .write) {
                case .short: count = Int.random(in: 1...max(1, count), using: &disk.random)
                // A process can die within the call, and a full disk can take a part of the bytes.
                case .death, .fails: put(bytes.prefix(Int.random(in: 0...count, using: &disk.random)), at: offset)
                case .slow, nil: break
                }
            }
            try disk.perform(.write) { [self] _ throws(Errno) in put(bytes.prefix(count), at: offset) }
            return count
        }

        private func put(_ bytes: Slice<UnsafeRawBufferPointer>, at offset: Int) {
            guard !bytes.isEmpty else { return }
            let end = offset + bytes.count
            if content.cached.count < end {
                content.cached += [UInt8](repeating: 0, count: end - content.cached.count)
            }
            content.cached.replaceSubrange(offset..<end, with: bytes)
            content.dirty.formUnion(offset / blockBytes...(end - 1) / blockBytes)
        }

        func startWriteback(_ range: Range<Int>) throws(Errno) {
            // The blocks stay dirty: `losePower` decides which of them the writeback has stored. The next sync reports
            // a failure of it once more.
            try disk.perform(.startWriteback, onFailure: loseSome) { _ throws(Errno) in }
        }

        /// Some blocks are stored, and all of them count as clean afterwards.
        private func loseSome(_ disk: SimulatedDisk) {
            for number in content.dirty.sorted() where Bool.random(using: &disk.random) { store(number) }
            content.dirty = []
            content.failures += 1
        }

        func synchronize() throws(Errno) {
            try disk.perform(
                .synchronize,
                onFailure: { [self] disk in
                    loseSome(disk)
                    toldFailures = content.failures
                },
                { [self] _ throws(Errno) in
                    guard toldFailures == content.failures else {
                        toldFailures = content.failures
                        throw .ioError
                    }
                    for number in content.dirty { store(number) }
                    // The durable length grows only as far as the stored blocks reach.
                    content.dirty = []
                })
        }

        func dropPageCache() throws(Errno) {
            try disk.perform(.dropPageCache) { [self] _ throws(Errno) in
                // Dirty blocks stay in the cache. The length is the inode's: bytes that are not on the platter are read
                // as zeros.
                guard content.dirty.isEmpty else { return }
                let missing = content.cached.count - content.durable.count
                content.cached = content.durable + [UInt8](repeating: 0, count: max(0, missing))
            }
        }

        private func store(_ number: Int) {
            let range = (number * blockBytes)..<min((number + 1) * blockBytes, content.cached.count)
            guard range.lowerBound < range.upperBound else { return }
            if content.durable.count < range.upperBound {
                content.durable += [UInt8](repeating: 0, count: range.upperBound - content.durable.count)
            }
            content.durable.replaceSubrange(range, with: content.cached[range])
        }

        private var blockBytes: Int { SimulatedDisk.blockBytes }
    }
}

/// A clock that moves only by `advance`. Unchecked, like the disk.
final class ManualClock: Clock, @unchecked Sendable {
    struct Instant: InstantProtocol {
        var time: Duration
        func advanced(by duration: Duration) -> Instant { Instant(time: time + duration) }
        func duration(to other: Instant) -> Duration { other.time - time }
        static func < (a: Instant, b: Instant) -> Bool { a.time < b.time }
    }

    private(set) var now = Instant(time: .zero)
    var minimumResolution: Duration { .zero }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws {}
    func advance(_ duration: Duration) { now = now.advanced(by: duration) }
}
