import ArgumentParser
import Glibc
import Logs
import Postgres
import Settings
import Spool

/// A subcommand: what it throws becomes one line on standard error and an exit code.
protocol LoaderCommand: ParsableCommand {
    /// What is added to the line that says that the database is away.
    static var whenAway: String { get }
    func execute() throws
}

extension LoaderCommand {
    static var whenAway: String { "try again later" }

    func run() throws {
        // A reader of our output that goes away is an error of write(2), not the end of us.
        StandardStreams.secure()
        do {
            try execute()
            try StandardOutput.finish()
        } catch let error as PostgresError where error.isTemporary || error.isRetryable {
            complain("\(error.withRemedy); \(Self.whenAway)")
            throw ExitCode.databaseAway
        } catch let error as PostgresError {
            complain(error.withRemedy)
            throw ExitCode.failure
        } catch let error as LoaderError {
            complain(error.description)
            throw ExitCode.failure
        } catch let error as SpoolError {
            complain(error.description)
            throw ExitCode.failure
        } catch let error as SettingsError {
            complain(error.description)
            throw ExitCode.failure
        }
    }
}

/// One line for people, on standard error.
func complain(_ message: String) {
    LogOutput.standardError.complain(message, by: "shelly-loader")
}

extension ExitCode {
    /// EX_TEMPFAIL of sysexits.h: nothing is wrong here, the same will do later.
    static let databaseAway = ExitCode(EX_TEMPFAIL)
}

extension PostgresError {
    /// The same in words that say what it means for us, and what to do where that is known.
    var withRemedy: String {
        if needsMigration { return "\(self); run 'shelly-loader migrate' first" }
        let isAway = isTemporary || isRetryable
        return isAway && !description.hasPrefix("database away") ? "database away: \(self)" : description
    }

    /// A table, a column or the unique index that ON CONFLICT names is not there.
    var needsMigration: Bool { ["42P01", "42703", "42P10"].contains(sqlState) }
}

/// What went wrong in the loader itself.
enum LoaderError: Error, CustomStringConvertible {
    /// Another session drains this spool into this database.
    case spoolBusy(identity: String)
    /// Another session migrates this table.
    case migrating(table: String)
    /// What `migrate` leaves alone does not fit.
    case unsuitable(table: String, PostgresError)
    /// Standard output does not take what is printed.
    case output(String)
    /// An argument cannot be used.
    case argument(String)
    /// A schema step did not get its lock.
    case tableLocked(table: String, step: String, seconds: Int)

    var description: String {
        switch self {
        case .spoolBusy(let identity):
            "spool \(identity) is being drained into this database by another loader, perhaps from a copy of the spool; "
                + "one at a time may"
        case .migrating(let table): "table \(table) is being migrated by another process; wait for it to end"
        case .unsuitable(let table, let error):
            "table \(table) is there, but cannot take readings: \(error); "
                + "a column is missing, or an index of the right name is not unique; mend it by hand"
        case .output(let cause): "cannot write to standard output: \(cause)"
        case .argument(let message): message
        case .tableLocked(let table, let step, let seconds):
            "cannot \(step): table \(table) stayed locked by other transactions for \(seconds) s; "
                + "end them (pg_stat_activity shows them) and run this again"
        }
    }
}
