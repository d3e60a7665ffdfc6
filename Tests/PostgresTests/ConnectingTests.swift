import Glibc
import Postgres
import Testing

@Suite struct ConnectingTests {
    @Test func closedPortIsUnavailable() throws {
        let listener = Listener()
        listener.close()
        let error = try failure {
            _ = try Connection("postgresql://user:hunter2@127.0.0.1:\(listener.port)/db", applicationName: "tests")
        }
        #expect(error.isUnavailable && error.isTemporary)
        let message = error.description
        #expect(message.contains("127.0.0.1") && message.contains("\(listener.port)"))
        #expect(!message.contains("hunter2") && !message.contains { $0.isNewline || $0 == "\t" })
    }

    @Test func silentServerIsUnavailableWithinTheConnectTimeout() throws {
        let listener = Listener()
        defer { listener.close() }
        func elapsed() throws -> Duration {
            let start = ContinuousClock.now
            let error = try failure {
                _ = try Connection(
                    "host=127.0.0.1 port=\(listener.port) user=u password=hunter2 dbname=db", applicationName: "tests",
                    connectTimeout: .milliseconds(300))
            }
            #expect(error.isUnavailable && !error.description.contains("hunter2"))
            return start.duration(to: .now)
        }
        // A busy machine delays some attempts. The default timeout of five seconds would delay all of them.
        var shortest = try elapsed()
        for _ in 0..<50 where shortest >= .seconds(4) { shortest = try min(shortest, elapsed()) }
        #expect(shortest >= .milliseconds(300) && shortest < .seconds(4))
    }

    /// The connection does not wait for the timeout of a silent host, which is longer here than a hang.
    @Test(.needsDatabase, arguments: ["any", "read-write", "prefer-standby"])
    func silentHostIsSkipped(attributes: String) throws {
        let silent = Listener()
        defer { silent.close() }
        let closed = Listener()
        closed.close()
        let url = try #require(TestDatabase.url)
        let server = try #require(url.firstRange(of: "@").map { url[$0.upperBound...] })
        // Not with a silent host before it, because that could still turn out to be a standby.
        let first = attributes == "prefer-standby" ? closed : silent
        let connection = try Connection(
            "postgresql://shelly@127.0.0.1:\(first.port),127.0.0.1:\(closed.port),\(server)?target_session_attrs=\(attributes)",
            applicationName: "tests", connectTimeout: .seconds(3600))
        #expect(try connection.execute("SELECT 1").count == 1)
    }

    @Test func eachHostsFailureIsNamed() throws {
        let closed = [Listener(), Listener()]
        for listener in closed { listener.close() }
        let ports = closed.map { "\($0.port)" }
        let error = try failure {
            _ = try Connection(
                "host=127.0.0.1,127.0.0.1 port=\(ports[0]),\(ports[1]) user=u password=hunter2",
                applicationName: "tests")
        }
        #expect(error.isUnavailable && ports.allSatisfy { error.description.contains($0) })
        #expect(!error.description.contains("hunter2"))
    }

    @Test(arguments: [
        "hunter2", "host=localhost password hunter2", "postgresql://user:%zzhunter2@localhost/db",
        "postgresql://user:hunter2@[::1/db", "nonsense=hunter2", "postgresql://user:a@hunter2@localhost/db",
        "postgresql://user:hunter2/a@localhost/db", "postgresql://user:a@hunter2/b@localhost/db",
        "postgresql://user@localhost:hunter2/db", "host=localhost sslmode=hunter2", "host=localhost port=hunter2",
    ])
    func anUnusableConninfoIsInvalidAndNotInTheMessage(_ conninfo: String) throws {
        let error = try failure { _ = try Connection(conninfo, applicationName: "tests") }
        #expect(error.isInvalid && !error.isTemporary)
        #expect(!error.description.contains("hunter2"))
    }

    /// Strings whose author separates the password in another way than libpq does.
    @Test(arguments: [
        "host=127.0.0.1;password=hunter2", "host=127.0.0.1,password=hunter2", "host='127.0.0.1 password=hunter2'",
        "host='127.0.0.1 password=hunter2", "Host=127.0.0.1;Password=hunter2", "Server=127.0.0.1;Pwd=hunter2",
        "host:127.0.0.1 password:hunter2", "dbname=shelly;user=u;password=hunter2", "user=u;password=hunter2",
        "user=u,hunter2 host=127.0.0.1", "user=u/hunter2 host=127.0.0.1", "user=u:hunter2 host=127.0.0.1",
        "postgresql:/u:hunter2@127.0.0.1/db", "postgres//u:hunter2@127.0.0.1/db", "u:hunter2@127.0.0.1/db",
        "mysql://u:hunter2@127.0.0.1/db", "mysql://u:hunter2@127.0.0.1/db?a=b",
        "jdbc:postgresql://127.0.0.1/db?password=hunter2",
        "postgresql://127.0.0.1/db;password=hunter2", "postgresql://127.0.0.1/db&password=hunter2",
        "postgresql://u;hunter2@127.0.0.1/db",
        "postgresql://127.0.0.1/db?user=u;password=hunter2", "host=127.0.0.1 sslrootcert=/x;password=hunter2",
        "service=x;password=hunter2", "host=127.0.0.1 port=1;password=hunter2", "\"host=127.0.0.1 password=hunter2\"",
    ])
    func passwordInTheWrongPlaceIsNotShown(_ conninfo: String) throws {
        let error = try failure { _ = try Connection(conninfo, applicationName: "tests") }
        #expect(error.isInvalid && error.description.contains("DATABASE_URL"))
        #expect(!error.description.contains("hunter2"))
    }

    @Test func serviceThatIsNotDefinedIsInvalid() throws {
        let error = try failure { _ = try Connection("service=no-such-service", applicationName: "tests") }
        #expect(error.isInvalid && error.description.contains("no-such-service"))
    }

    /// The server's refusal of a setting is not an outage, because waiting does not help.
    @Test(.needsDatabase, arguments: [("nobody-at-all", "shelly", "28000"), ("shelly", "no-such-database", "3D000")])
    func refusalsOfTheServerAreNoOutageAndContainNoPassword(role: String, database: String, state: String) throws {
        let url = try #require(TestDatabase.url)
        let start = try #require(url.firstRange(of: "://"))
        let server = url[start.upperBound...].drop { $0 != "@" }.prefix { $0 != "/" }
        let error = try failure {
            _ = try Connection("postgresql://\(role):hunter2\(server)/\(database)", applicationName: "tests")
        }
        #expect(error.sqlState == state && !error.isTemporary)
        #expect(error.description.contains(state == "28000" ? role : database))
        #expect(!error.description.contains("hunter2") && !error.description.contains("LOCATION"))
    }
}

/// A TCP port on loopback that accepts connections and never answers.
struct Listener {
    let descriptor: Int32
    let port: UInt16

    init() {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0)
                precondition(getsockname(descriptor, $0, &length) == 0)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
    }

    func close() { _ = Glibc.close(descriptor) }
}
