// Commands: a file for each subcommand: its options, and the call that does the work.
// Begin here, then DrainCommand.swift.
// Uses any other folder.

import ArgumentParser
import Settings

/// `shelly-loader`: loads the receiver's spool into PostgreSQL, and maintains the spool and the table.
///
/// A command reads its settings, builds the value that does the work, and prints the result:
///
///     migrate   Migrator     brings any existing schema to the state that drain needs
///     drain     Drain        → DrainSession (connection, lock, progress) → SegmentDrain → ReadingTable
///     replay    Replay       loads files again, without changing progress
///     stats     QueueStatistics
///     status    SpoolStatus  pending and loaded segments, lock holders
///     cat       RecordDump   records or readings as NDJSON
///     verify    Verification → Reconciliation with the database
///     prune     Pruning      removes loaded segments past their retention
///     doctor    Doctor       checks the installation and says how to fix problems
@main
struct Loader: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shelly-loader",
        abstract: "Loads spooled Shelly readings into PostgreSQL, each exactly once.",
        discussion: """
            Settings come from flags, the environment and --env-file, in this order; see docs/CONFIGURATION.md.
            Exit codes: 0 done, 75 database unavailable (progress is kept, try again later), 64 wrong usage, 1 other errors.
            """,
        version: Version.line,
        subcommands: [
            MigrateCommand.self, DrainCommand.self, ReplayCommand.self, StatsCommand.self, StatusCommand.self,
            CatCommand.self, VerifyCommand.self, PruneCommand.self, DoctorCommand.self,
        ])
}
