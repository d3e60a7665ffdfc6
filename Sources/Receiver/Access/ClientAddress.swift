import NIOCore

/// A client's address, as far as it tells clients apart: an IPv4 address, or the first 64 bits of an IPv6 address, of
/// which one client has all the others.
struct ClientAddress: Hashable, Sendable {
    /// The bytes of the whole IPv6 address, or of the IPv4 address behind ::ffff:0:0/96.
    let bytes: [UInt8]

    private static let mappedPrefix = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]

    /// nil where there is no IP address.
    init?(_ address: SocketAddress?) {
        switch address {
        case .v4(let address):
            bytes = Self.mappedPrefix + withUnsafeBytes(of: address.address.sin_addr) { Array($0) }
        case .v6(let address): bytes = withUnsafeBytes(of: address.address.sin6_addr) { Array($0) }
        case .unixDomainSocket, nil: return nil
        }
    }

    /// Whether it is an IPv4 address.
    var isIPv4: Bool { bytes.starts(with: Self.mappedPrefix) }

    private var distinction: ArraySlice<UInt8> { isIPv4 ? bytes[...] : bytes[..<8] }

    static func == (one: ClientAddress, other: ClientAddress) -> Bool { one.distinction == other.distinction }

    func hash(into hasher: inout Hasher) { hasher.combine(distinction) }
}
