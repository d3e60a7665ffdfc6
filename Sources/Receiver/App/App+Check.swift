import ArgumentParser
import Checkup
import Postgres
import Settings
import Time

extension App {
    /// Options of `--check` and `--ready`.
    struct CheckOptions: ParsableArguments {
        @Flag(help: "Check the installation, print how to fix each problem, and exit.")
        var check = false
        @Flag(help: "With --check: also send an empty batch to the running receiver, which stores nothing.")
        var probe = false
        @Flag(
            help: """
                With --check: also send a reading of 0 W of the device shelly-collector-probe, and wait until the loader \
                has inserted it. The row stays in the table.
                """)
        var probeRow = false
        @Option(
            help: """
                With --probe or --ready: the receiver's URL, such as https://collector.example; default: HOST and PORT.
                """)
        var url: String?
        @Flag(
            help: """
                Request /readyz of the running receiver, print the answer, and exit with 0 if the receiver takes batches, \
                else with 1: for a container's health check.
                """)
        var ready = false
        @Flag(help: "With --check: print JSON.")
        var json = false

        func validate() throws {
            guard check || !(probe || probeRow || json || (url != nil && !ready)) else {
                throw ValidationError("--probe, --probe-row, --url and --json require --check")
            }
            guard !(check && ready) else { throw ValidationError("--ready and --check exclude each other") }
        }
    }

    /// Runs the checks and prints one line per result, or JSON. The exit code is 1 when a check failed.
    func runCheck(_ settings: Settings, problems: [String]) async throws {
        var checkup = Checkup(printLine: checking.json ? { _ in } : { print($0) })
        checkup.add(SettingsCheck.results(settings, problems: problems))
        if let envFile { checkup.add(KeyCheck.result(ofFile: envFile, as: "settings file")) }
        await SelfCheck(settings: settings).run(&checkup)
        if checking.probe || checking.probeRow {
            do {
                let client = try ProbeClient(checking.url ?? Self.url(settings))
                let probe = Probe(client: client, key: try? KeySource.ingest.keys(settings).first)
                if await probe.run(&checkup), checking.probeRow {
                    await probe.sendRow(
                        &checkup, databaseURL: settings.text(.databaseURL) ?? "",
                        table: try TableName(settings.required(.table)), now: .now)
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
        let answer: ProbeClient.Reply
        do {
            // The certificate of a receiver on this machine has its public name.
            let client = try ProbeClient(
                checking.url ?? Self.url(settings), verifiesCertificate: checking.url != nil)
            answer = try await client.get("/readyz")
        } catch let failure as ProbeClient.ProbeError {
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
