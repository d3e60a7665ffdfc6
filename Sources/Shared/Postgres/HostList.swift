internal import CLibpq
internal import Glibc

/// The hosts of a connection string, in the order in which they are tried.
struct HostList {
    /// One of several hosts, as libpq's parameters for it alone.
    typealias Host = [(name: String, value: String)]

    /// A single empty element if libpq shall connect as the string says, for example to its default host.
    let hosts: [Host]
    /// The values of `target_session_attrs`, each of which is tried with all hosts. `prefer-standby` is two of them.
    let passes: [Host]

    /// Whether hosts, and the addresses of a host, are tried in a random order.
    private let isRandom: Bool

    private static let one = HostList(hosts: [[]], passes: [[]], isRandom: false)

    /// - Parameter options: libpq's effective options by name, whether they are from the string, a service or the
    ///   environment.
    init(_ options: [String: String]) {
        func list(_ name: String) -> [String]? {
            options[name].flatMap { $0.isEmpty ? nil : $0.split(separator: ",", omittingEmptySubsequences: false) }?
                .map(String.init)
        }
        let names = list("host")
        let addresses = list("hostaddr")
        let ports = list("port") ?? []
        let count = max(names?.count ?? 0, addresses?.count ?? 0)
        // libpq reports lists of different lengths, and has a default for an empty element.
        let isPlain = [names, addresses].allSatisfy { $0.map { $0.count == count && !$0.contains("") } ?? true }
        guard count > 0, isPlain, ports.count <= 1 || ports.count == count, !ports.contains("") else {
            self = Self.one
            return
        }
        var hosts = (0..<count).map { index -> Host in
            var host: Host = []
            if let names { host.append(("host", names[index])) }
            if let addresses { host.append(("hostaddr", addresses[index])) }
            if let port = ports.count == count ? ports[index] : ports.first { host.append(("port", port)) }
            return host
        }
        let isRandom = options["load_balance_hosts"] == "random"
        if isRandom { hosts.shuffle() }
        let prefersStandby = options["target_session_attrs"] == "prefer-standby"
        self.init(
            hosts: hosts,
            passes: prefersStandby ? ["standby", "any"].map { [("target_session_attrs", $0)] } : [[]],
            isRandom: isRandom)
    }

    /// The host once for each of its addresses, with the name as well, which TLS compares with the certificate.
    ///
    /// It stays as it is if it has one address, is a socket's directory, or cannot be resolved, which libpq then reports.
    /// Follows getaddrinfo(3), which has no timeout other than that of resolv.conf(5).
    func addresses(of host: Host) -> [Host] {
        guard !host.contains(where: { $0.name == "hostaddr" }),
            let name = host.first(where: { $0.name == "host" })?.value,
            !name.hasPrefix("/"), !name.hasPrefix("@")
        else { return [host] }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &first) == 0 else { return [host] }
        defer { freeaddrinfo(first) }
        var addresses: [String] = []
        var next = first
        while let entry = next?.pointee {
            next = entry.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let status = getnameinfo(
                entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            let address = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if status == 0, !addresses.contains(address) { addresses.append(address) }
        }
        if isRandom { addresses.shuffle() }
        return addresses.count > 1 ? addresses.map { host + [("hostaddr", $0)] } : [host]
    }

    private init(hosts: [Host], passes: [Host], isRandom: Bool) {
        self.isRandom = isRandom
        self.hosts = hosts
        self.passes = passes
    }
}
