// CommandLine: arguments, output, errors and their remedies.
// Begin here.
// Uses Logs, Postgres, Readings, Text, Time.

import Postgres
import Time

/// An error of the loader itself.
enum LoaderError: Error, CustomStringConvertible {
    /// Another loader drains this spool into this database.
    case spoolBusy(identity: String)
    /// The progress in the database differs from the one that this loader has written: another loader has moved it, or
    /// the database was restored meanwhile.
    case progressMoved(segment: String)
    /// Another session migrates this table.
    case migrating(table: String)
    /// The existing table is incompatible, and `migrate` does not change it.
    case unsuitable(table: String, PostgresError)
    /// The table refuses every row, so that no row can be at fault.
    case takesNoRow(table: String, reason: String)
    /// The table is not fit for readings: why, and how to change it.
    case unfit(table: String, reason: String, remedy: String)
    /// Rows have no partition: their minutes since 1970.
    case noPartition(table: String, minutes: [Int64])
    /// Writing to standard output failed.
    case output(String)
    /// An argument is invalid.
    case argument(String)
    /// A schema step did not get its lock.
    case tableLocked(table: String, step: String, seconds: Int)

    /// Whether it can be mended at the server while the loader waits.
    var isOfTheTable: Bool {
        switch self {
        case .takesNoRow, .unfit, .noPartition: true
        default: false
        }
    }

    var description: String {
        switch self {
        case .spoolBusy(let identity):
            "spool \(identity) is being drained into this database by another loader, perhaps from a copy of the spool; "
                + "only one can run at a time"
        case .progressMoved(let segment):
            "the progress of segment \(segment) has changed in the database meanwhile: another loader drains the spool, "
                + "perhaps from a copy of it, or the database was restored; nothing was written, run this again"
        case .migrating(let table): "table \(table) is being migrated by another process; wait until it ends"
        case .unsuitable(let table, let error):
            "table \(table) exists, but cannot take readings: \(error); "
                + "a column is missing, or an index with the right name is not unique; correct it by hand"
        case .takesNoRow(let table, let reason):
            "table \(table) refuses every row: \(reason); nothing was set aside, and loading continues when the table is corrected, "
                + "or when a reading comes that it takes"
        case .unfit(let table, let reason, let remedy): "table \(table) \(reason); \(remedy)"
        case .noPartition(let table, let minutes):
            "table \(table) has no partition for \(minutes.first.map { Timestamp(minute: $0).readable(.minutes) } ?? "") UTC; "
                + "create it, and run this again"
        case .output(let cause): "cannot write to standard output: \(cause)"
        case .argument(let message): message
        case .tableLocked(let table, let step, let seconds):
            "cannot \(step): table \(table) stayed locked by other transactions for \(seconds) s; "
                + "end them (pg_stat_activity shows them) and run this again"
        }
    }
}
