import ArgumentParser

struct VerifyCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every segment of the spool, and with --database that what is loaded is in the table.",
        discussion: "Exit code 1 when something is damaged or missing; nothing is changed.")

    @OptionGroup var options: CommonOptions
    @Flag(help: "Also look for every loaded reading in the table and in rejected/.")
    var database = false
    @Flag(help: "Print the findings as JSON.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        var verification = Verification(directory: try settings.spool())
        if database {
            verification.reconciliation = try Reconciliation(
                try settings.database(), directory: verification.directory)
        }
        let report = VerificationReport { if !json { print($0) } }
        try verification.run(report)
        let summary = report.summary
        if json {
            printJSON(summary)
        } else {
            print("\(summary.segments) segments, \(summary.records) records, \(summary.problems) problems")
            if let database = summary.database {
                print(
                    "\(database.readings) readings loaded, \(database.rejected) of them rejected, "
                        + "\(database.missing) missing; \(database.notLoadedYet) not loaded yet")
            }
        }
        if summary.problems > 0 { throw ExitCode.failure }
    }
}
