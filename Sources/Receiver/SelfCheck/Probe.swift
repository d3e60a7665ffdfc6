import Checkup
import Logs
import NIOHTTP1
import Postgres
import Readings
import Time

/// Tests the path of a batch from end to end, through any proxies on it.
///
/// The receiver rejects an empty batch only after it has accepted the key. So an empty batch proves the path and the
/// key, and leaves nothing behind. Only a reading can prove that readings arrive in the table, and that reading stays
/// there like any other.
struct Probe {
    let client: ProbeClient
    /// nil when no key is configured here.
    let key: String?

    /// The device of the one reading that is sent.
    static let device = "shelly-collector-probe"
    private static let batchPath = "/api/ingest/batch"
    private static let empty = #"{"messages":[]}"#

    /// Sends requests that leave nothing behind. Returns whether a reading could be sent now.
    func run(_ checkup: inout Checkup) async -> Bool {
        do {
            let ready = try await client.get("/readyz")
            guard ready.status == 200 else {
                checkup.add(
                    .fail("probe", "\(client.url)/readyz answers \(Self.text(ready))", do: "check the receiver's log")
                )
                return false
            }
            checkup.add(.ok("probe", "\(client.url)/readyz: ready"))
            let stranger = try await client.post(Self.batchPath, headers: [:], Self.empty)
            guard stranger.status == 401 else {
                checkup.add(
                    .fail(
                        "probe", "a batch without a key is answered with \(Self.text(stranger)), not 401",
                        do: "check the proxies between here and the receiver, and the receiver's INGEST_API_KEY"))
                return false
            }
            guard let key else {
                checkup.add(
                    .fail(
                        "probe key", "INGEST_API_KEY is not set here, so no batch can be sent",
                        do: "set it for this check"))
                return false
            }
            let answer = try await client.post(Self.batchPath, headers: ["X-API-Key": key], Self.empty)
            checkup.add(Self.check(answer))
            return answer.status == 422
        } catch {
            checkup.add(
                .fail("probe", "\(error)", do: "start the receiver, or give its address with --url; check its log"))
            return false
        }
    }

    private static func check(_ answer: ProbeClient.Reply) -> CheckResult {
        switch answer.status {
        case 422 where answer.body.contains("Batch cannot be empty"):
            return .ok("probe key", "the key is accepted, and the empty batch is refused as expected")
        case 401:
            return .fail(
                "probe key", "the running receiver refuses the key that is configured here",
                do: "restart it or reload its keys; make sure that both have the same settings")
        default:
            return .fail(
                "probe key", "an empty batch is answered with \(text(answer)), not 422",
                do: "check the proxies between here and the receiver")
        }
    }

    /// Sends a reading of 0 W and waits until it is in the table.
    ///
    /// The reading stays there: the spool records it as loaded, so `verify --database` would report it as missing if it
    /// were removed.
    func sendRow(_ checkup: inout Checkup, databaseURL: String, table: TableName, now: Timestamp) async {
        let subject = "probe row"
        let seconds = now.unixSeconds
        let body =
            #"{"messages":[{"src":"\#(Self.device)","timestamp":\#(seconds),"params":{"switch:0":{"apower":0}}}]}"#
        do {
            let answer = try await client.post(Self.batchPath, headers: ["X-API-Key": key ?? ""], body)
            guard answer.status == 200 else {
                return checkup.add(
                    .fail(subject, "a reading is answered with \(Self.text(answer))", do: "check the receiver's log"))
            }
            let connection = try Connection(
                databaseURL, applicationName: "shelly-receiver --check", timeout: .seconds(5))
            let start = ContinuousClock.now
            while start.duration(to: .now) < Self.timeout {
                let rows = try connection.execute(
                    "SELECT 1 FROM \(table.quoted) WHERE idempotency_key = $1",
                    [.text("\(Self.device)_0_\(seconds / 60)")])
                if rows.count > 0 {
                    let waited = start.duration(to: .now).inSeconds
                    return checkup.add(
                        .ok(
                            subject,
                            "the row was in \(table.quoted) after \(waited) s, and stays there as device \(Self.device), 0 W"
                        ))
                }
                try await Task.sleep(for: .milliseconds(200))
            }
            checkup.add(
                .fail(
                    subject,
                    "it is spooled, but not in \(table.quoted) after \(Self.timeout.components.seconds) s",
                    do: "start the loader, or wait for its timer; run 'shelly-loader doctor' for details")
            )
        } catch {
            checkup.add(.fail(subject, "\(error)", do: "run 'shelly-loader doctor' for details"))
        }
    }

    private static let timeout = Duration.seconds(90)

    private static func text(_ answer: ProbeClient.Reply) -> String { "\(answer.status) \(answer.body.prefix(200))" }
}
