import ArgumentParser
import Checkup
import Settings

struct DoctorCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the installation, and say how to fix each problem.",
        discussion: """
            One line per check: ok, warn or FAIL. Changes nothing, takes no lock, and can be run while a receiver and a loader \
            run; run it as their user. Exit codes: 0 nothing failed, 75 only the database is unavailable, 1 something failed. \
            'shelly-receiver --check' checks the receiver's side, and with --probe the path of a batch to the running \
            receiver.
            """)

    @OptionGroup var options: CommonOptions
    @Flag(help: "Print the result as JSON.")
    var json = false

    func execute() throws {
        var problems: [String] = []
        let settings = options.settings(&problems)
        var checkup = Checkup(printLine: json ? { _ in } : { print($0) })
        checkup.add(SettingsCheck.results(settings, problems: problems))
        if let file = options.envFile { checkup.add(KeyCheck.result(ofFile: file, as: "settings file")) }
        Doctor(settings: settings).run(&checkup)
        if json { print(checkup.json) }
        if checkup.exitCode != 0 { throw ExitCode(checkup.exitCode) }
    }
}
