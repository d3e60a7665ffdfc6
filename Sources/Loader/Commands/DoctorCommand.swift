import ArgumentParser
import Checkup
import Settings

struct DoctorCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look whether all that is needed is there and as it should be, and say what to do where not.",
        discussion: """
            A line for each check: ok, warn or FAIL. Changes nothing, takes no lock, and can be run beside a receiver and \
            a loader at work; run it as the user that they run as. Exit codes: 0 nothing failed, 75 only the database is \
            away, 1 something failed. 'shelly-receiver --check' looks at the receiver's side, and with --probe at the way \
            of a batch from end to end.
            """)

    @OptionGroup var options: CommonOptions
    @Flag(help: "Print it as JSON.")
    var json = false

    func execute() throws {
        var problems: [String] = []
        let settings = options.settings(&problems)
        var checkup = Checkup(say: json ? { _ in } : { print($0) })
        checkup.add(SettingsCheck.findings(settings, problems: problems))
        if let file = options.envFile { checkup.add(KeyCheck.finding(ofFile: file, as: "settings file")) }
        Doctor(settings: settings).run(&checkup)
        if json { print(checkup.json) }
        if checkup.exitCode != 0 { throw ExitCode(checkup.exitCode) }
    }
}
