import Foundation

/// TCP sockets as the kernel lists them (proc_pid_net(5) `tcp`), for facts that the receiver's answers do not contain.
extension Rig {
    private struct Socket {
        let port: Int
        let isListening: Bool
        /// Received bytes that the process has not read; for a listening socket, connections that it has not accepted.
        let unread: Int
        /// Sent bytes for which the other side has no room.
        let unsent: Int
        let inode: String
    }

    private static func sockets() throws -> [Socket] {
        func number(_ field: Substring) -> Int? { field.split(separator: ":").last.flatMap { Int($0, radix: 16) } }
        // String(contentsOfFile:) would read only 4 KiB, because the kernel reports the file's size as 0.
        let table = FileHandle(forReadingAtPath: "/proc/net/tcp")
        guard let data = try table?.readToEnd() else { throw Failure(description: "/proc/net/tcp cannot be read") }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        return lines.dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, let port = number(fields[1]), let unread = number(fields[4]),
                let unsent = fields[4].split(separator: ":").first.flatMap({ Int($0, radix: 16) })
            else { return nil }
            return Socket(
                port: port, isListening: fields[3] == "0A", unread: unread, unsent: unsent, inode: String(fields[9]))
        }
    }

    /// Whether the receiver has accepted every connection and read all bytes that clients have sent.
    func hasReceiverReadAll() throws -> Bool {
        try Self.sockets().allSatisfy { $0.port != port || $0.unread == 0 }
    }

    /// The number of the receiver's connections with more than 32 KiB of answers that their clients do not read.
    func unreadConnectionsOfReceiver() throws -> Int {
        try Self.sockets().count { $0.port == port && !$0.isListening && $0.unsent > 32 << 10 }
    }

    /// The number of open connections of the receiver.
    func openConnectionsOfReceiver() throws -> Int {
        try Self.sockets().count { $0.port == port && !$0.isListening && $0.inode != "0" }
    }

    /// The IPv4 port on which a process listens; nil if it does not listen.
    static func listeningPort(of process: Int32) throws -> Int? {
        let directory = "/proc/\(process)/fd"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let links = Set(
            files.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)") })
        return try sockets().first { $0.isListening && links.contains("socket:[\($0.inode)]") }?.port
    }
}
