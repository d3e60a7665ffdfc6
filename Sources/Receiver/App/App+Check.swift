import ArgumentParser
import Checkup
import Postgres
import Settings

extension App {
    /// Options of `--check`.
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
            help: "With --probe: where the receiver is reached, such as https://collector.example; HOST and PORT else.")
        var url: String?
        @Flag(help: "With --check: print JSON.")
        var json = false

        func validate() throws {
            guard check || !(probe || probeRow || json || url != nil) else {
                throw ValidationError("--probe, --probe-row, --url and --json go with --check")
            }
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

    /// The URL at which a receiver with these settings is reached from this machine.
    private static func url(_ settings: Settings) -> String {
        let host = settings.required(.host)
        let name = ["0.0.0.0", "::", "*"].contains(host) ? "127.0.0.1" : host.contains(":") ? "[\(host)]" : host
        let scheme = settings.text(.tlsCertificateFile) == nil ? "http" : "https"
        return "\(scheme)://\(name):\(settings.integer(.port))"
    }
}
