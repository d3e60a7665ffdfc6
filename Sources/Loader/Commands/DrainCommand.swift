import ArgumentParser
import Checkup
import Spool

struct DrainCommand: LoaderCommand {
    static let whenAway = "progress kept"
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Load the spooled readings into the table, each once.",
        discussion: """
            Fully loaded segments move to loaded/ and are compressed there (LOADER_COMPRESS); records and readings that \
            cannot be loaded go to rejected/ with the reason. Damaged byte ranges are logged and skipped, and the run then \
            ends with exit code 1; 'shelly-loader verify' lists them again.
            """)

    @OptionGroup var options: CommonOptions
    @Flag(help: "Keep loading new records until SIGTERM; wait for the database while it is unavailable.")
    var follow = false
    @Flag(help: "Load at once, though DATABASE_SLEEP_SECONDS have not passed since the last load.")
    var now = false
    @Flag(help: "Print no summary when there was nothing to load.")
    var quiet = false
    @Flag(help: "Print the summary as JSON.")
    var json = false

    func execute() throws {
        let settings = try options.settings()
        let shutdown = ShutdownSignal()
        let signals = shutdown.watchSignals()
        defer { withExtendedLifetime(signals) {} }
        let drain = Drain(
            path: settings.spoolPath, database: try settings.database(),
            statementRows: settings.integer(.statementRows), retention: settings.retention,
            isCompressing: settings.isCompressing, deadLetterRetention: settings.deadLetterRetention,
            rowRetention: settings.rowRetention,
            limits: SpoolWriter.Limits(settings),
            followPause: settings.duration(.followSeconds),
            databaseSleep: now ? .zero : settings.duration(.databaseSleepSeconds),
            logger: settings.logger, shutdown: shutdown)
        let report = DrainReport(logger: settings.logger)
        defer { ProgressLine.clear() }
        if follow { return try drain.follow(report) }
        func show(_ summary: DrainReport.Summary) { json ? printJSON(summary) : print(summary.text) }
        do {
            try drain.run(report)
        } catch {
            // A run that failed before it did anything has no summary.
            if !report.summary.isEmpty { show(report.summary) }
            throw error
        }
        if !quiet || !report.summary.isEmpty { show(report.summary) }
        if report.summary.problems + report.summary.damagedRanges > 0, !shutdown.isRequested {
            throw ExitCode.failure
        }
    }
}
