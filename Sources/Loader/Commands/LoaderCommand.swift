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
