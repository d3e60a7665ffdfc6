import ArgumentParser
import Glibc
import Logs
import Postgres
import Settings
import Spool

/// A subcommand. It turns a thrown error into one line on standard error and an exit code.
protocol LoaderCommand: ParsableCommand {
    /// Text that is appended to the message that the database is unavailable.
    static var whenAway: String { get }
    func execute() throws
}

extension LoaderCommand {
    static var whenAway: String { "try again later" }

    func run() throws {
        // If the reader of our output disconnects, write(2) should fail; SIGPIPE must not end the process.
        StandardStreams.secure()
        do {
            try execute()
            try StandardOutput.finish()
        } catch let error as PostgresError where error.isTemporary || error.isRetryable {
            reportError("\(error.withRemedy); \(Self.whenAway)")
            throw ExitCode.databaseAway
        } catch let error as PostgresError {
            reportError(error.withRemedy)
            throw ExitCode.failure
        } catch let error as LoaderError {
            reportError(error.description)
            throw ExitCode.failure
        } catch let error as SpoolError {
            reportError(error.description)
            throw ExitCode.failure
        } catch let error as SettingsError {
            reportError(error.description)
            throw ExitCode.failure
        }
    }
}
