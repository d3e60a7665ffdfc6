import Foundation

/// TCP sockets as the kernel lists them (proc_pid_net(5) `tcp`): what no answer of the receiver says.
extension Rig {
    private struct Socket {
        let port: Int
        let isListening: Bool
        /// Bytes that nobody has read; of a listening socket the connections that nobody has accepted.
        let unread: Int
        /// Bytes that were sent and that the other side has no room for.
        let unsent: Int
        let inode: String
    }

    private static func sockets() throws -> [Socket] {
        func number(_ field: Substring) -> Int? { field.split(separator: ":").last.flatMap { Int($0, radix: 16) } }
        // Not with String(contentsOfFile:), which reads 4 KiB of a file whose size is said to be 0.
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

    /// Whether the receiver has accepted every connection and read all that clients have sent.
    func hasReceiverReadAll() throws -> Bool {
        try Self.sockets().allSatisfy { $0.port != port || $0.unread == 0 }
    }

    /// How many of the receiver's connections have answers of some length that their clients do not read.
    func unreadConnectionsOfReceiver() throws -> Int {
        try Self.sockets().count { $0.port == port && !$0.isListening && $0.unsent > 32 << 10 }
    }

    /// How many connections the receiver has open.
    func openConnectionsOfReceiver() throws -> Int {
        try Self.sockets().count { $0.port == port && !$0.isListening && $0.inode != "0" }
    }

    /// The IPv4 port on which a process listens; nil when it does not.
    static func listeningPort(of process: Int32) throws -> Int? {
        let directory = "/proc/\(process)/fd"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let links = Set(
            files.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)") })
        return try sockets().first { $0.isListening && links.contains("socket:[\($0.inode)]") }?.port
    }
}
