internal import CLibpq

/// The hosts of a connection string, in the order in which they are tried.
struct HostList {
    /// One of several hosts, as libpq's parameters for it alone.
    typealias Host = [(name: String, value: String)]

    /// A single empty element if libpq shall connect as the string says: to one host.
    let hosts: [Host]
    /// The values of `target_session_attrs`, each of which is tried with all hosts. `prefer-standby` is two of them.
    let passes: [Host]

    private static let one = HostList(hosts: [[]], passes: [[]])

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
        guard count > 1, isPlain, ports.count <= 1 || ports.count == count, !ports.contains("") else {
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
        if options["load_balance_hosts"] == "random" { hosts.shuffle() }
        let prefersStandby = options["target_session_attrs"] == "prefer-standby"
        self.init(
            hosts: hosts,
            passes: prefersStandby ? ["standby", "any"].map { [("target_session_attrs", $0)] } : [[]])
    }

    private init(hosts: [Host], passes: [Host]) {
        self.hosts = hosts
        self.passes = passes
    }
}
