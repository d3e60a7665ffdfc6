import Glibc
import Spool
import SystemPackage
import Testing

/// Invariant 10.
struct SpoolLockTests {
    @Test func aReleasedLockIsFreeAlthoughAChildInheritedIt() throws {
        var template = Array("/tmp/spool-lock-XXXXXX".utf8CString)
        let path = FilePath(String(cString: try #require(mkdtemp(&template))))
        let file = path.appending("loader.lock").string
        defer {
            unlink(file)
            rmdir(path.string)
        }
        var lock: SpoolLock? = try SpoolLock(.loader, of: path)
        #expect(throws: SpoolError.self) { try SpoolLock(.loader, of: path) }
        // Like a child's descriptor between fork(2) and execve(2).
        let held = (0..<1024).first { descriptor in
            var target = [UInt8](repeating: 0, count: 200)
            let count = readlink("/proc/self/fd/\(descriptor)", &target, target.count)
            return count > 0 && String(decoding: target[..<count], as: UTF8.self) == file
        }
        let inherited = dup(Int32(try #require(held)))
        defer { close(inherited) }
        lock = nil
        _ = lock
        #expect(throws: Never.self) { try SpoolLock(.loader, of: path) }
    }
}
