import Glibc
import SystemPackage

/// The datagram socket on which a service manager receives notifications from its service; see sd_notify(3).
struct NotifySocket: Sendable {
    private let path: String
    private static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// - Parameter path: absolute, or an abstract name after an `@`. Any other path gives nil, since it is not a notify
    ///   socket.
    init?(_ path: String) {
        guard path.hasPrefix("/") || path.hasPrefix("@"), 2...Self.longestPath ~= path.utf8.count else { return nil }
        self.path = path
    }

    /// Sends assignments, one per line, without blocking.
    ///
    /// - Throws: `Errno.resourceTemporarilyUnavailable` when the manager has too many unread messages.
    func send(_ assignments: String) throws(Errno) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }

        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // An abstract name begins with a zero byte, and has none at its end.
        let name = path.utf8.enumerated().map { $0 == 0 && $1 == UInt8(ascii: "@") ? 0 : $1 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout.offset(of: \sockaddr_un.sun_path)! + name.count)

        let bytes = Array(assignments.utf8)
        let sent = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        guard sent == bytes.count else { throw Errno(rawValue: errno) }
    }
}
