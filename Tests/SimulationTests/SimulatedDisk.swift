import Seeds
import Spool
import SystemPackage

/// A disk in memory that knows what is durable, fails on demand, and can lose its power.
///
/// What it promises is what POSIX and ext4 promise and no more. A write is durable after a successful `synchronize` of
/// its file; until then each block of it may or may not be, in any order, or hold anything. A name is durable after
/// `synchronizeDirectory`; until then each operation on it may or may not be. Blocks whose synchronization failed are
/// marked clean all the same: they are read back from the cache, and a later `synchronize` succeeds without them, except
/// for those who have had the file open since before and are told once each, as Linux does. A directory is a name, too.
///
/// Unchecked: the driver uses it from one thread at a time.
final class SimulatedDisk: Disk, @unchecked Sendable {
    /// What happens to one operation.
    enum Fault {
        case fails(Errno)
        /// A write takes only a part of the bytes, and says so.
        case short
        /// It takes this long.
        case slow(Duration)
        /// The process dies before or after the operation has its effect.
        case death(after: Bool)
    }

    /// Where the process died; every operation behind it fails until `restart`.
    static let dead = Errno.noSuchProcess

    /// Decides the fault of the next operation, by its number, counted from 0 over the disk's life.
    var fault: (Int, Operation) -> Fault? = { _, _ in nil }
    private var opened: [OpenFile] = []
    private(set) var operations = 0
    private(set) var isDead = false
    /// What another process does when the operation of this number is about to begin.
    var interlude: (operation: Int, body: () -> Void)?
    /// The time, which passes while operations run.
    let clock = ManualClock()

    enum Operation: CaseIterable {
        case create, open, makeDirectory, list, rename, link, remove, synchronizeDirectory, examine
        case size, read, write, startWriteback, synchronize, dropPageCache
    }

    private final class Content {
        /// What a process reads.
        var cached: [UInt8] = []
        /// What is on the platter.
        var durable: [UInt8] = []
        /// Blocks of `cached` that differ from the platter and will be written by the next synchronization.
        var dirty: Set<Int> = []
        /// How often synchronizing it has failed.
        var failures = 0
    }

    /// An operation on names: what each of them is from then on, nil for no file. A rename has two, which the file
    /// system's journal keeps together.
    private typealias Change = [(path: Name, content: Content?)]

    /// A file's directory and its name in it; a `FilePath` is checked so often that it would be most of the time.
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
    /// The files as a process sees them, as the platter has them, and the changes between the two.
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

    /// Another process begins on the same machine: what was written is there.
    func restart() { isDead = false }

    /// The power fails and comes back: what was not durable is kept, lost or garbled, block by block and name by name.
    func losePower() {
        isDead = false
        // Changes of one name happen in their order, so what follows a lost one is lost as well.
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
        // The length is written on its own: anything between the two is possible.
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
                // Only what was not durable may be anything: a sector is written as a whole or not.
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
            // What touches this directory, and what came before it on the same names.
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

    /// Whether an open file has yet to report a failure, as each does once, whichever descriptor's sync it was (fsync(2)).
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

    /// Runs one operation, or what its fault makes of it.
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
        /// Failures of synchronizing that came before it was opened or that it was told of.
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
                // A process can die within the call, and a full disk can take a part of it.
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
            // What it has done by then is one of the things that losing the power makes of dirty blocks. A failure of it
            // is told again by the next synchronization.
            try disk.perform(.startWriteback, onFailure: loseSome) { _ throws(Errno) in }
        }

        /// Some blocks made it, and all of them count as clean from now on.
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
                    // The length goes along, but only as far as there is something behind it.
                    content.dirty = []
                })
        }

        func dropPageCache() throws(Errno) {
            try disk.perform(.dropPageCache) { [self] _ throws(Errno) in
                // What is dirty stays; the length is the inode's, whether there is something behind it or not.
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

/// A clock that stands still until it is moved. Unchecked, like its disk.
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
