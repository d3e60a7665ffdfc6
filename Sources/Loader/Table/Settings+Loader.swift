import Logging
import Postgres
import Settings
import Spool
import SystemPackage

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

    /// How long dead letters are kept, or nil to keep them all.
    var deadLetterRetention: Duration? {
        integer(.rejectedRetentionSeconds) == 0 ? nil : duration(.rejectedRetentionSeconds)
    }

    /// How long rows of a partitioned table are kept, or nil to keep them all.
    var rowRetention: RowRetention? {
        integer(.rowRetentionDays) == 0 ? nil : RowRetention(days: integer(.rowRetentionDays))
    }

    var isCompressing: Bool { required(.compress) == "on" }

    func database() throws(PostgresError) -> Database {
        Database(
            conninfo: text(.databaseURL) ?? "", table: try TableName(required(.table)),
            statementTimeout: duration(.statementSeconds))
    }
}
