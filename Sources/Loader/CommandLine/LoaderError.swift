import Postgres

/// An error of the loader itself.
enum LoaderError: Error, CustomStringConvertible {
    /// Another session drains this spool into this database.
    case spoolBusy(identity: String)
    /// Another session migrates this table.
    case migrating(table: String)
    /// The existing table is incompatible, and `migrate` does not change it.
    case unsuitable(table: String, PostgresError)
    /// Writing to standard output failed.
    case output(String)
    /// An argument is invalid.
    case argument(String)
    /// A schema step did not get its lock.
    case tableLocked(table: String, step: String, seconds: Int)

    var description: String {
        switch self {
        case .spoolBusy(let identity):
            "spool \(identity) is being drained into this database by another loader, perhaps from a copy of the spool; "
                + "only one can run at a time"
        case .migrating(let table): "table \(table) is being migrated by another process; wait until it ends"
        case .unsuitable(let table, let error):
            "table \(table) exists, but cannot take readings: \(error); "
                + "a column is missing, or an index with the right name is not unique; correct it by hand"
        case .output(let cause): "cannot write to standard output: \(cause)"
        case .argument(let message): message
        case .tableLocked(let table, let step, let seconds):
            "cannot \(step): table \(table) stayed locked by other transactions for \(seconds) s; "
                + "end them (pg_stat_activity shows them) and run this again"
        }
    }
}
