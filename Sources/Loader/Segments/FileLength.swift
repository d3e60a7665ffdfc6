import Glibc
import SystemPackage

/// A file's length in bytes, by path, without opening the file (stat(2)).
enum FileLength {
    /// The length, or nil if there is no such file.
    static func of(_ path: FilePath) -> Int? {
        var status = stat()
        return stat(path.string, &status) == 0 ? Int(status.st_size) : nil
    }

    static func exists(_ path: FilePath) -> Bool { of(path) != nil }
}
