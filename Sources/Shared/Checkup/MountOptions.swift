internal import CLinux
internal import Glibc
internal import SystemPackage

/// The options of a mounted file system, from `/proc/self/mountinfo`, proc_pid_mountinfo(5):
///
///     47 44 0:44 / /var/lib/x rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w,fsync=volatile
///           device                                          options
enum MountOptions {
    /// The options of the file system that a file lies on, empty if there is no such mount.
    static func ofFileSystem(at path: FilePath) -> [Substring] {
        var status = stat()
        guard stat(path.string, &status) == 0, let table = try? contents(of: "/proc/self/mountinfo") else { return [] }
        return of(device: "\(gnu_dev_major(status.st_dev)):\(gnu_dev_minor(status.st_dev))", in: table)
    }

    /// - Parameter device: `MAJOR:MINOR` of its device.
    static func of(device: String, in table: String) -> [Substring] {
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2, fields[2] == device, let end = fields.firstIndex(of: "-"), end + 3 < fields.count
            else { continue }
            return fields[end + 3].split(separator: ",")
        }
        return []
    }

    /// An overlay's upper layer, as the process that mounted it named it; nil if there is none.
    static func upperDirectory(_ options: [Substring]) -> FilePath? {
        let prefix = "upperdir="
        guard let option = options.first(where: { $0.hasPrefix(prefix) }) else { return nil }
        return FilePath(unescaped(option.dropFirst(prefix.count)))
    }

    /// The kernel writes spaces, commas and backslashes as three octal digits: `\040`.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let code = UInt8(String(digits) ?? "", radix: 8) {
                bytes.append(code)
                rest.removeFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func contents(of path: FilePath) throws -> String {
        let file = try FileDescriptor.open(path, .readOnly)
        defer { try? file.close() }
        var bytes: [UInt8] = []
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 1)
        defer { chunk.deallocate() }
        while true {
            let count = try file.read(into: chunk)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}
