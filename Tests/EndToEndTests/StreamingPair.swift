import Foundation
import Postgres

/// A primary and its streaming standby: the rig's cluster and a second one, which can swap roles.
///
/// The rig's URL names both hosts, so its queries and programs find the one that is the primary.
final class StreamingPair {
    /// How a primary is lost: its processes are killed, or they stop and answer nothing.
    enum Loss: CaseIterable { case killed, silent }

    private let rig: Rig
    private let isSynchronous: Bool
    private var primary: String
    private var standby: String
    /// Processes of the lost primary.
    private var lost: [Int32] = []

    /// - Parameter isSynchronous: whether a COMMIT waits for the standby.
    init(_ rig: Rig, isSynchronous: Bool) throws {
        self.rig = rig
        self.isSynchronous = isSynchronous
        primary = rig.cluster
        standby = rig.directory + "/standby"
        try rig.postgres(["standby", standby, primary])
        let hosts = try [primary, standby].map { "127.0.0.1:\(URL(string: try url($0))?.port ?? 0)" }
        rig.databaseURL = "postgresql://shelly@\(hosts.joined(separator: ","))/shelly?target_session_attrs=read-write"
        try awaitStreaming()
    }

    deinit {
        for process in lost { kill(process, SIGKILL) }
        _ = try? rig.postgres(["destroy", rig.directory + "/standby"])
    }

    /// Stops the stream. The standby misses all later rows.
    func cutStream() throws {
        let sender = try rig.query("SELECT pid FROM pg_stat_replication")
        guard let process = Int32(sender) else { throw Rig.Failure(description: "no standby is connected: \(sender)") }
        kill(process, SIGSTOP)
    }

    func lose(_ loss: Loss) throws {
        guard
            let main = try String(contentsOfFile: primary + "/data/postmaster.pid", encoding: .utf8)
                .split(separator: "\n").first.flatMap({ Int32($0) })
        else { throw Rig.Failure(description: "the primary is not running") }
        // The main process first, so that it starts no further ones.
        kill(main, SIGSTOP)
        lost = [main] + children(of: main)
        for process in lost { kill(process, loss == .killed ? SIGKILL : SIGSTOP) }
    }

    /// Makes the standby the primary, and returns when it accepts writes.
    func promote() throws {
        try onStandby("SELECT pg_promote(true, \(Rig.hangSeconds))")
        swap(&primary, &standby)
    }

    /// Runs SQL on the primary and returns its first value. It connects directly, so a silent first host causes no
    /// delay.
    func onPrimary(_ sql: String) throws -> String { try query(sql, in: primary) }

    /// Runs SQL on the standby and returns its first value.
    @discardableResult
    func onStandby(_ sql: String) throws -> String { try query(sql, in: standby) }

    private func query(_ sql: String, in directory: String) throws -> String {
        let limit = Duration.seconds(Rig.hangSeconds)
        let connection = try Connection(
            url(directory), applicationName: "test", connectTimeout: limit, timeout: limit)
        return try connection.execute(sql)[0, 0] ?? ""
    }

    /// Kills the lost primary and makes it the new primary's standby.
    func rejoin() throws {
        for process in lost { kill(process, SIGKILL) }
        lost = []
        try rig.postgres(["standby", standby, primary])
        try awaitStreaming()
    }

    private func awaitStreaming() throws {
        if isSynchronous {
            try rig.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
            try rig.query("SELECT pg_reload_conf()")
        }
        let state = isSynchronous ? "sync" : "async"
        try rig.wait("the standby does not stream") {
            try rig.query(
                "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '\(state)'") == "1"
        }
    }

    private func url(_ directory: String) throws -> String { try rig.postgres(["url", directory]) }

    private func children(of parent: Int32) -> [Int32] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.compactMap { Int32($0) }.filter { process in
            let status = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
            // The parent is the second field after the name, which is in parentheses.
            guard let name = status.range(of: ") ", options: .backwards) else { return false }
            return status[name.upperBound...].split(separator: " ").dropFirst().first == "\(parent)"
        }
    }
}
