import Glibc
import SystemPackage

/// A small file of keys or certificates, read as a whole and, for any type of file, without blocking.
enum SmallFile {
    static let maximumBytes = 256 << 10

    /// The file's bytes.
    ///
    /// - Throws: a sentence without the path, such as `Permission denied`.
    static func read(_ path: String) throws(ReadError) -> [UInt8] {
        do {
            // Without `nonBlocking`, opening a pipe that has no writer would block. With it, such a pipe is empty.
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.nonBlocking, .closeOnExec])
            return try file.closeAfter {
                var bytes = [UInt8](repeating: 0, count: maximumBytes + 1)
                var count = 0
                while count < bytes.count {
                    let read = try bytes.withUnsafeMutableBytes { buffer in
                        try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
                    }
                    if read == 0 { break }
                    count += read
                }
                guard count <= maximumBytes else { throw ReadError("longer than \(maximumBytes) bytes") }
                return Array(bytes[..<count])
            }
        } catch let error as ReadError {
            throw error
        } catch let error as Errno {
            throw ReadError("\(error)")
        } catch {
            throw ReadError("cannot be read: \(error)")
        }
    }

    /// Whether the file's mode lets every user of the machine read it.
    static func isReadableForEverybody(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IROTH != 0
    }

    /// Why the file cannot be used.
    struct ReadError: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}
