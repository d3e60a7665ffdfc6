import Foundation
import Postgres
import Testing

/// A network that loses all packets during an open session of the loader (invariants 2 and 6).
@Suite(
    .serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"),
    .enabled(if: SilentNetwork.obstacle == nil, "no network namespace can be created here"))
struct SilentNetworkTests {
    private let network: SilentNetwork
    private let rig: Rig

    init() throws {
        network = try SilentNetwork()
        rig = try Rig(hasCluster: true)
        try rig.listen(on: network)
        try rig.startReceiver()
        let hosts = network.nearAddresses.map { "\($0):\(rig.databasePort)" }.joined(separator: ",")
        // A statement may take an hour, so only the network's own timeouts can end a session.
        try rig.startLoader(
            "drain", "--follow",
            environment: ["DATABASE_URL": "postgresql://shelly@\(hosts)/shelly", "LOADER_STATEMENT_SECONDS": "3600"],
            under: network.wrapper)
    }

    private func post(_ device: String) throws {
        #expect(try rig.post(Rig.batch(device, minutes: 0..<10)).count("inserted") == 10)
    }

    private func awaitRows(_ count: Int) throws {
        try rig.wait("the rows are not loaded") { try rig.query("SELECT count(*) FROM power_logs") == "\(count)" }
    }

    /// The number of the loader's sessions through a link, limited by `condition`.
    private func sessions(_ link: Int, where condition: String = "true") throws -> String {
        try rig.query(
            """
            SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shelly-loader'
                AND client_addr = '\(network.farAddresses[link])' AND \(condition)
            """)
    }

    /// The next statement is not acknowledged, so TCP ends the connection, and the loader connects to the next host.
    @Test func aSessionThatFallsSilentBetweenStatementsIsReplaced() throws {
        try post("before")
        try awaitRows(10)
        #expect(try sessions(0) == "1")
        try network.silence(0)
        try post("after")
        try awaitRows(20)
        #expect(try sessions(1) == "1")
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: 20)
    }

    /// Keepalives get no answer, so the loader ends the connection. The server ends the old session too, and releases
    /// its locks.
    @Test func aSessionThatFallsSilentWithinAStatementIsEndedByBothSides() throws {
        try post("before")
        try awaitRows(10)
        let holder = try rig.connect()
        _ = try holder.execute("BEGIN; LOCK TABLE power_logs IN SHARE MODE")
        try post("after")
        try rig.wait("the loader does not insert") { try sessions(0, where: "wait_event_type = 'Lock'") == "1" }
        try network.silence(0)
        _ = try holder.execute("COMMIT")
        try awaitRows(20)
        #expect(try sessions(0) == "0" && sessions(1) == "1")
        #expect(rig.stopLoader() == 0)
        try rig.expectExactly(readings: 20)
        #expect(try rig.query("SELECT sum(duplicates) FROM spool_progress") == "0")
    }
}

extension Rig {
    /// Makes the server listen on the network's addresses of this machine, and admits the second machine.
    fileprivate func listen(on network: SilentNetwork) throws {
        let addresses = (["127.0.0.1"] + network.nearAddresses).joined(separator: ",")
        try query("ALTER SYSTEM SET listen_addresses = '\(addresses)'")
        let file = try query("SHOW hba_file")
        let lines = try String(contentsOfFile: file, encoding: .utf8)
        let more = network.farAddresses.map { "host all all \($0)/32 trust\n" }.joined()
        try (lines + more).write(toFile: file, atomically: false, encoding: .utf8)
        try stopDatabase()
        try startDatabase()
    }
}
