import Foundation
import Glibc

/// The service manager's end of the socket that NOTIFY_SOCKET names.
final class NotifyListener {
    private let descriptor: Int32

    /// - Parameter name: a path as in NOTIFY_SOCKET, or an abstract name after an `@`.
    init(_ name: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = name.utf8.enumerated().map { $0 == 0 && $1 == UInt8(ascii: "@") ? 0 : $1 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else { throw Rig.Failure(description: "bind \(name): error \(errno)") }
    }

    deinit { close(descriptor) }

    /// The next message; nil if none comes within the time.
    func next(within seconds: Double = Double(Rig.hangSeconds)) -> String? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(seconds * 1000)) == 1 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// The next message with this line; nil if none comes within the time.
    func next(with line: String, within seconds: Double = Double(Rig.hangSeconds)) -> String? {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline, let message = next(within: seconds) {
            if message.split(separator: "\n").contains(Substring(line)) { return message }
        }
        return nil
    }
}
