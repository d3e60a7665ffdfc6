internal import Glibc
public import SystemPackage

/// The right to be a spool's one receiver or its one loader (invariant 10), held as long as the object lives.
///
/// A flock(2) on a file of the spool: the kernel gives it back when the process ends, however it ends.
public final class SpoolLock: Sendable {
    public enum Role: String, Sendable {
        case receiver, loader
    }

    private let descriptor: CInt

    /// Takes the lock; `inUse`, naming the holder, when another process has it.
    public init(_ role: Role, of path: FilePath) throws(SpoolError) {
        let file = path.appending("\(role.rawValue).lock")
        descriptor = open(file.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .disk("open", file, .last) }
        // Somebody who only looks whether it is held has it for a moment.
        var failure: Errno?
        for _ in 0..<20 {
            failure = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? nil : Errno.last
            guard failure == .wouldBlock else { break }
            usleep(5000)
        }
        if let cause = failure {
            // `deinit` runs here too and closes the descriptor; twice would close another one of the same number.
            let holder = Self.holder(descriptor)
            guard cause == .wouldBlock else { throw .disk("lock", file, cause) }
            throw .inUse(path, by: "another \(role.rawValue) (process \(holder))")
        }
        // The number is for people; the lock is what counts.
        let text = "\(getpid())\n"
        ftruncate(descriptor, 0)
        pwrite(descriptor, text, text.utf8.count, 0)
    }

    deinit { Self.release(descriptor) }

    /// The process that holds the lock of `role`, or nil when nobody does.
    public static func holder(of role: Role, in path: FilePath) -> String? {
        let descriptor = open(path.appending("\(role.rawValue).lock").string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { release(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else { return nil }
        return holder(descriptor)
    }

    /// Not by close(2) alone: a child that was forked a moment ago has the descriptor too, until its execve(2).
    private static func release(_ descriptor: CInt) {
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func holder(_ descriptor: CInt) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let digits = bytes.prefix(max(0, count)).prefix { 0x30...0x39 ~= $0 }
        return digits.isEmpty ? "unknown" : String(decoding: digits, as: UTF8.self)
    }
}
