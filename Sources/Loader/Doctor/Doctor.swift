// Doctor: `doctor`: one check a file.
// Begin here.
// Uses CommandLine, Partitions, Schema, Segments, Status, Table, Checkup, Postgres, Readings, Settings, Spool, Text, Time.

import Checkup
import Postgres
import Settings
import Spool

/// Checks everything that the loader needs, in the order of a reading's path: settings, spool, database, table, load.
struct Doctor {
    let settings: Settings

    /// Timeout for a statement of the checks.
    private static let timeout = Duration.seconds(10)

    func run(_ checkup: inout Checkup) {
        checkup.add(
            KeyCheck(ingest: settings.keys(.ingestAPIKey), read: settings.keys(.readAPIKey)).results(isReceiver: false)
        )
        let spool = SpoolCheck(settings.spoolPath, for: .loader).run(&checkup)
        if let spool {
            checkup.add(RoomCheck(spool, limits: SpoolWriter.Limits(settings)).results())
            checkup.add(DiskCheck(spool.path, acceptsLosses: settings.acceptsLosses).results())
        }
        checkup.add(ClockCheck(spool).result())
        let database: Database
        do {
            database = try settings.database()
        } catch {
            return checkup.add(.fail("database", "\(error)", do: "correct DATABASE_TABLE"))
        }
        if let connection = connect(database, &checkup) {
            checkup.add(DatabaseCheck(connection).results())
            checkup.add(TableCheck(connection, database.table).results())
            checkup.add(PartitionCheck(connection, database.table, retention: settings.rowRetention).results())
        }
        if let spool {
            checkup.add(
                LoadCheck(
                    spool, database, deadLetterRetention: settings.deadLetterRetention,
                    databaseSleep: settings.duration(.databaseSleepSeconds)
                ).results())
            checkup.add(UntakenCheck(spool).results())
            checkup.add(LedgerCheck(directory: spool).results())
        }
    }

    private func connect(_ database: Database, _ checkup: inout Checkup) -> Connection? {
        do {
            return try Connection(database.conninfo, applicationName: "shelly-loader doctor", timeout: Self.timeout)
        } catch {
            let remedy =
                error.isOurs
                ? "correct DATABASE_URL"
                : error.remedy
                    ?? "start the server, or check DATABASE_URL, its password (PGPASSFILE) and pg_hba.conf; batches are "
                    + "spooled meanwhile"
            checkup.add(.fail("database", "\(error)", do: remedy, isTemporary: error.isTemporary))
            return nil
        }
    }
}
