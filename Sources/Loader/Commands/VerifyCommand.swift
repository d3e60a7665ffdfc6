import ArgumentParser

struct VerifyCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every segment of the spool; with --database, also that the table has every loaded reading.",
        discussion: "Changes nothing. Exit code 1 when a record is damaged or a reading is missing.")

    @OptionGroup var options: CommonOptions
    @Flag(help: "Also check that every loaded reading is in the table or in rejected/.")
    var database = false
    @Flag(help: "Print the findings as JSON.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        var verification = Verification(directory: try settings.spool())
        if database {
            verification.reconciliation = try Reconciliation(
                try settings.database(), directory: verification.directory, rowRetention: settings.rowRetention)
        }
        let report = VerificationReport { if !json { print($0) } }
        try verification.run(report)
        let summary = report.summary
        if json {
            printJSON(summary)
        } else {
            print(
                "\(summary.segments.counted("segment")), \(summary.records.counted("record")), "
                    + summary.problems.counted("problem"))
            if let database = summary.database {
                print(
                    "\(database.readings.counted("reading")) in loaded records, \(database.rejected) of them rejected, "
                        + (database.expired > 0 ? "\(database.expired) past the retention of rows, " : "")
                        + "\(database.missing) missing; \(database.notLoadedYet) not loaded yet")
            }
        }
        if summary.problems > 0 { throw ExitCode.failure }
    }
}
