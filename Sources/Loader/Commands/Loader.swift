import ArgumentParser
import Settings

/// `shelly-loader`: brings what the receiver has spooled into PostgreSQL, and looks after both.
///
/// A command reads its settings, builds the value that does the work, and prints what that returns:
///
///     migrate   Migrator     the table's schema, from whatever is there to what drain needs
///     drain     Drain        → DrainSession (connection, lock, progress) → SegmentDrain → ReadingTable
///     replay    Replay       files again into the table, without touching progress
///     stats     QueueStatistics
///     status    SpoolStatus  what waits, what is loaded, who works on it
///     cat       RecordDump   records or readings as NDJSON
///     verify    Verification → Reconciliation with the database
///     prune     Pruning      loaded segments past their retention
///     doctor    Doctor       whether all of this can work, and what to do where it cannot
@main
struct Loader: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shelly-loader",
        abstract: "Loads spooled Shelly readings into PostgreSQL, each exactly once.",
        discussion: """
            Settings come from flags, the environment and --env-file, in this order; see docs/CONFIGURATION.md.
            Exit codes: 0 done, 75 the database is away (progress is kept, try again later), 64 wrong usage, 1 other errors.
            """,
        version: Version.line,
        subcommands: [
            MigrateCommand.self, DrainCommand.self, ReplayCommand.self, StatsCommand.self, StatusCommand.self,
            CatCommand.self, VerifyCommand.self, PruneCommand.self, DoctorCommand.self,
        ])
}
