import NIOCore
import Settings

/// The addresses and networks of proxies: one such address stands for many clients.
struct ProxyAddresses: Sendable {
    /// An address, and how many of its first bits count.
    private struct Network: Sendable {
        let bytes: [UInt8]
        let bits: Int

        /// - Parameter text: such as `10.0.0.0/8`, `::1`.
        init?(_ text: Substring) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let socketAddress = try? SocketAddress(ipAddress: String(parts[0]), port: 0),
                let address = ClientAddress(socketAddress)
            else { return nil }
            bytes = address.bytes
            guard parts.count == 2 else {
                bits = 128
                return
            }
            let width = parts[0].contains(":") ? 128 : 32
            guard let length = Int(parts[1]), 0...width ~= length else { return nil }
            bits = 128 - width + length
        }

        func contains(_ address: ClientAddress) -> Bool {
            let whole = bits / 8
            guard bytes[..<whole] == address.bytes[..<whole] else { return false }
            let rest = bits % 8
            return rest == 0 || (bytes[whole] ^ address.bytes[whole]) >> (8 - rest) == 0
        }
    }

    private let networks: [Network]

    init(_ settings: Settings) throws(SettingsError) { try self.init(settings.keys(.proxies)) }

    init(_ texts: [String]) throws(SettingsError) {
        var networks: [Network] = []
        for text in texts {
            guard let network = Network(text[...]) else {
                throw SettingsError(
                    "\(Setting.proxies.name) must list IP addresses and networks such as 10.0.0.0/8 or ::1, separated by commas"
                )
            }
            networks.append(network)
        }
        self.networks = networks
    }

    func contain(_ address: ClientAddress) -> Bool { networks.contains { $0.contains(address) } }
}
