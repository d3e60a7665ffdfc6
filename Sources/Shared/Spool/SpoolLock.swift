internal import Glibc
public import SystemPackage

/// The exclusive lock of a spool's one receiver or one loader (invariant 10), held as long as the object lives.
///
/// It is a flock(2) on a file in the spool. The kernel releases it when the process ends, however it ends.
public final class SpoolLock: Sendable {
    /// The program that uses the spool.
    public enum Role: String, Sendable {
        case receiver, loader
    }

    private let descriptor: CInt

    /// Acquires the lock. Throws `inUse`, naming the holder, if another process holds it.
    public init(_ role: Role, of path: FilePath) throws(SpoolError) {
        let file = path.appending("\(role.rawValue).lock")
        descriptor = open(file.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .disk("open", file, .last) }
        // A process that only checks the lock (`holder(of:in:)`) holds it for a moment.
        var failure: Errno?
        for _ in 0..<20 {
            failure = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? nil : Errno.last
            guard failure == .wouldBlock else { break }
            usleep(5000)
        }
        if let cause = failure {
            // `deinit` runs here too and closes the descriptor. A second close could close another file with the same
            // number.
            let holder = Self.holder(descriptor)
            guard cause == .wouldBlock else { throw .disk("lock", file, cause) }
            throw .inUse(path, by: "another \(role.rawValue) (process \(holder))")
        }
        // The process ID is informative only; the flock(2) is the lock.
        let text = "\(getpid())\n"
        ftruncate(descriptor, 0)
        pwrite(descriptor, text, text.utf8.count, 0)
    }

    deinit { Self.release(descriptor) }

    /// The process that holds the lock of `role`, or nil if none does.
    public static func holder(of role: Role, in path: FilePath) -> String? {
        let descriptor = open(path.appending("\(role.rawValue).lock").string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { release(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else { return nil }
        return holder(descriptor)
    }

    /// Unlocks explicitly: a child process that was just forked also has the descriptor until its execve(2), so
    /// close(2) alone would not release the lock.
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
