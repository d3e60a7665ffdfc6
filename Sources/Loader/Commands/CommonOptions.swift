import ArgumentParser
import Logging
import Postgres
import Settings
import Spool
import SystemPackage

/// The options that every command takes.
struct CommonOptions: ParsableArguments {
    @Option(help: "Directory of the spool (SPOOL_DIR).")
    var spool: String?
    @Option(help: "PostgreSQL, as URL or key/value list (DATABASE_URL).")
    var databaseURL: String?
    @Option(help: "File with NAME=value lines.")
    var envFile: String?

    func settings() throws(SettingsError) -> Settings {
        try Settings(flags: flags, file: envFile)
    }

    /// As far as they can be used.
    func settings(_ problems: inout [String]) -> Settings {
        Settings(flags: flags, file: envFile, problems: &problems)
    }

    private var flags: [String: String?] { ["SPOOL_DIR": spool, "DATABASE_URL": databaseURL] }
}

extension Settings {
    /// Logs to standard error.
    var logger: Logger { logger("shelly-loader") }

    var spoolPath: FilePath { FilePath(required(.spoolDirectory)) }

    /// The spool, which must be there.
    func spool() throws(SpoolError) -> SpoolDirectory { try SpoolDirectory(existing: spoolPath) }

    var retention: Retention {
        let bytes = integer(.retentionBytes)
        return Retention(age: duration(.retentionSeconds), bytes: bytes == 0 ? nil : bytes)
    }

    func database() throws(PostgresError) -> Database {
        Database(
            conninfo: text(.databaseURL) ?? "", table: try TableName(required(.table)),
            statementTimeout: duration(.statementSeconds))
    }
}
