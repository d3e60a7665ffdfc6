import ArgumentParser
import Checkup
import Postgres
import Settings

extension App {
    /// Options of `--check` and `--ready`.
    struct CheckOptions: ParsableArguments {
        @Flag(help: "Look whether all that is needed is there and as it should be, say what to do where not, and end.")
        var check = false
        @Flag(help: "With --check: try the running receiver as well, by an empty batch, which leaves nothing behind.")
        var probe = false
        @Flag(
            help: """
                With --check: send a reading of 0 W of the device shelly-collector-probe too, and wait until the loader \
                has it in the table, where it stays.
                """)
        var probeRow = false
        @Option(
            help:
                "With --probe or --ready: where the receiver is reached, such as https://collector.example; HOST and PORT else."
        )
        var url: String?
        @Flag(
            help: """
                Ask the running receiver whether it takes batches (GET /readyz), print its answer, and end with 0 or 1: \
                the health check of a container.
                """)
        var ready = false
        @Flag(help: "With --check: print JSON.")
        var json = false

        func validate() throws {
            guard check || !(probe || probeRow || json || (url != nil && !ready)) else {
                throw ValidationError("--probe, --probe-row, --url and --json go with --check")
            }
            guard !(check && ready) else { throw ValidationError("--ready goes without --check") }
        }
    }

    /// Runs the checks and prints one line per finding, or JSON. The exit code is 1 when a check failed.
    func runCheck(_ settings: Settings, problems: [String]) async throws {
        var checkup = Checkup(say: checking.json ? { _ in } : { print($0) })
        checkup.add(SettingsCheck.findings(settings, problems: problems))
        if let envFile { checkup.add(KeyCheck.finding(ofFile: envFile, as: "settings file")) }
        await SelfCheck(settings: settings).run(&checkup)
        if checking.probe || checking.probeRow {
            do {
                let client = try ProbeClient(checking.url ?? Self.url(settings))
                let probe = Probe(client: client, key: try? KeySource.ingest.keys(settings).first)
                if await probe.run(&checkup), checking.probeRow {
                    await probe.sendRow(
                        &checkup, databaseURL: settings.text(.databaseURL) ?? "",
                        table: try TableName(settings.required(.table)), now: Receiver.unixMilliseconds())
                }
            } catch {
                checkup.add(.fail("probe", "\(error)", do: "correct it"))
            }
        }
        if checking.json { print(checkup.json) }
        if checkup.exitCode != 0 { throw ExitCode(checkup.exitCode) }
    }

    /// Asks a running receiver whether it is ready. The exit code is 1 unless it is.
    func askWhetherReady(_ settings: Settings) async throws {
        let answer: ProbeClient.Answer
        do {
            // The certificate of a receiver on this machine has its public name.
            let client = try ProbeClient(
                checking.url ?? Self.url(settings), verifiesCertificate: checking.url != nil)
            answer = try await client.get("/readyz")
        } catch let failure as ProbeClient.Failure {
            try fail(failure.description)
        }
        print(answer.body)
        if answer.status != 200 { throw ExitCode.failure }
    }

    /// The URL at which a receiver with these settings is reached from this machine.
    private static func url(_ settings: Settings) -> String {
        let host = settings.required(.host)
        let name = ["0.0.0.0", "::", "*"].contains(host) ? "127.0.0.1" : host.contains(":") ? "[\(host)]" : host
        let scheme = settings.text(.tlsCertificateFile) == nil ? "http" : "https"
        return "\(scheme)://\(name):\(settings.integer(.port))"
    }
}
