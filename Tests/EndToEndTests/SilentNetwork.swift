import Foundation

/// A second machine: a network namespace with two links to this machine, which can lose all packets.
///
/// A proxy cannot replace it, because the proxy's side of a connection still acknowledges packets.
final class SilentNetwork {
    /// The reason why no such network can be made here; nil if one can.
    static let obstacle: String? = {
        guard geteuid() == 0 else { return "only root may create a network namespace" }
        do {
            _ = try SilentNetwork()
            return nil
        } catch {
            return "no network namespace can be created here: \(error)"
        }
    }()

    private struct Link {
        /// The interfaces of this machine and of the second one, and their addresses.
        let near: String
        let far: String
        let nearAddress: String
        let farAddress: String
    }

    private let name: String
    private let links: [Link]

    init() throws {
        let name = "shelly-" + UUID().uuidString.prefix(8).lowercased()
        self.name = name
        // 198.18.0.0/15 is for tests of networks (RFC 2544).
        links = (0..<2).map { number in
            let net = "198.\(Int.random(in: 18...19)).\(Int.random(in: 0...255))."
            let first = Int.random(in: 0..<64) * 4
            let interface = "s" + name.suffix(8)
            return Link(
                near: "\(interface)n\(number)", far: "\(interface)f\(number)", nearAddress: net + "\(first + 1)",
                farAddress: net + "\(first + 2)")
        }
        try Self.ip("netns", "add", name)
        for link in links {
            try Self.ip("link", "add", link.near, "type", "veth", "peer", "name", link.far, "netns", name)
            try Self.ip("address", "add", link.nearAddress + "/30", "dev", link.near)
            try Self.ip("link", "set", link.near, "up")
            try Self.ip("-n", name, "address", "add", link.farAddress + "/30", "dev", link.far)
            try Self.ip("-n", name, "link", "set", link.far, "up")
        }
    }

    deinit {
        for link in links { try? Self.ip("link", "delete", link.near) }
        try? Self.ip("netns", "delete", name)
    }

    /// The addresses of this machine, one for each link.
    var nearAddresses: [String] { links.map(\.nearAddress) }
    /// The addresses of the second machine.
    var farAddresses: [String] { links.map(\.farAddress) }
    /// Runs a program on the second machine.
    var wrapper: [String] { ["/usr/sbin/ip", "netns", "exec", name] }

    /// Makes the link lose all packets in both directions: they are sent to a hardware address that does not exist.
    func silence(_ number: Int) throws {
        let link = links[number]
        let nobody = ["lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev"]
        try Self.ip(["neighbour", "replace", link.farAddress] + nobody + [link.near])
        try Self.ip(["-n", name, "neighbour", "replace", link.nearAddress] + nobody + [link.far])
    }

    private static func ip(_ arguments: String...) throws { try ip(arguments) }

    private static func ip(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/ip")
        process.arguments = arguments
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let text = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
            throw Rig.Failure(description: "ip \(arguments.joined(separator: " ")): \(text)")
        }
    }
}
