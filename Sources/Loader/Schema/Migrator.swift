// Schema: `migrate`: the tables, step by step.
// Begin here.
// Uses CommandLine, Partitions, Table, Postgres, Spool, Time.

import Postgres
import Spool
import Time

/// Brings the existing schema to the state that `drain` needs, and reports each step.
///
/// It checks each step before doing it, so a second run changes nothing. On a table with live writers, it never holds
/// up other statements for long: it adds a column with a short lock timeout and several attempts, and builds indexes
/// concurrently.
struct Migrator {
    let database: Database
    /// The width of the partitions of a new table, or nil for a plain table. An existing table is not converted.
    var partitions: PartitionWidth?
    /// Prints one line per step.
    let report: (String) -> Void
    /// Lock timeout of one attempt to add a column. Writers queue behind the attempt for at most this long.
    var lockTimeout = Duration.seconds(2)
    var lockAttempts = 15
    let shutdown: ShutdownSignal

    /// Building an index may take hours. The operator can interrupt it earlier.
    static let indexTimeout = Duration.seconds(7 * 86_400)

    /// The whole schema as SQL, which `psql` can run too. It can be repeated, except for partitions.
    static func sql(for table: TableName, partitions: PartitionWidth? = nil, now: Timestamp = .now) -> String {
        var steps = Migration.all(for: table, isPartitioned: partitions != nil).map { migration in
            let statements = migration.statements.map {
                // PostgreSQL builds no index of a partitioned table concurrently.
                partitions == nil ? $0 : $0.removing(" CONCURRENTLY")
            }
            return "-- \(migration.number): \(migration.subject)\n" + statements.map { $0 + ";\n" }.joined()
        }
        if let partitions {
            // The key's index is each partition's own.
            steps.removeAll { $0.contains("CREATE UNIQUE INDEX") }
            let first = PartitionUpkeep.firstRanges(partitions, now: now.minute)
            steps += first.map { range in
                let new = NewPartition(
                    of: table.name, in: table.schema ?? "public", range, width: partitions, hasPrimaryKey: true)
                return "-- partition \(new.quoted)\n" + new.statements.map { $0 + ";\n" }.joined()
            }
        }
        return steps.joined(separator: "\n")
    }

    func run() throws {
        let connection = try database.connect()
        if let missing = try SynchronousStandby.missing(on: connection) {
            throw PostgresError.unavailable("\(missing), so no commit can end")
        }
        // A role's own timeout would end the building of an index, which cannot run in a transaction. Behind a pooler
        // the setting would stay in a session of others.
        if try !connection.isPooled() { _ = try connection.execute("SET statement_timeout TO 0") }
        try alone { try migrate(on: connection) }
    }

    private func migrate(on connection: Connection) throws {
        let table = database.table
        let isNew = try !inspection(connection).exists(table.quoted)
        if !isNew, partitions != nil { try requirePartitions(on: connection) }
        let isPartitioned = try isNew ? partitions != nil : inspection(connection).isPartitioned
        for migration in Migration.all(for: table, isPartitioned: isPartitioned) {
            switch migration.object {
            case .table:
                if !isNew { try requireTable(on: connection) }
                try create(migration, isThere: !isNew, on: connection) { try forgetProgress(on: connection) }
                if !isNew { try complete(on: connection) }
            case .otherTable(let name):
                try create(migration, isThere: try inspection(connection).exists(name), on: connection)
            case .column(let name, let table):
                try addColumn(name, of: table, migration, isNew: isNew, on: connection)
            case .index(_, let column) where isPartitioned && column == "idempotency_key":
                try buildPartitionIndexes(on: connection)
            case .index(let name, _) where isPartitioned:
                try buildPartitionedIndex(name, migration, on: connection)
            case .index(let name, let column):
                try buildIndex(name, column, migration, isNew: isNew, on: connection)
            }
        }
        if let partitions { try upkeep(connection).createFirst(partitions) }
        try check(connection)
    }

    private func create(
        _ migration: Migration, isThere: Bool, on connection: Connection, also: () throws -> Void = {}
    ) throws {
        guard !isThere else { return report("\(migration.subject): already exists") }
        try connection.transaction {
            for statement in migration.statements { _ = try connection.execute(statement) }
            try also()
        }
        report("created \(migration.subject)")
    }

    /// Deletes progress that remains after its rows are gone, for example after the table was dropped. Otherwise the
    /// rows would not be loaded again (invariant 6).
    private func forgetProgress(on connection: Connection) throws {
        let progress = database.table.quoted(ProgressTable.name)
        guard try inspection(connection).exists(progress) else { return }
        let forgotten = try connection.execute("DELETE FROM \(progress)").affected
        if forgotten > 0 {
            report("removed the progress of \(forgotten.counted("segment")), whose rows were deleted with their table")
        }
    }

    private func requireTable(on connection: Connection) throws {
        if let incompatibility = try inspection(connection).incompatibility() {
            throw LoaderError.argument(incompatibility)
        }
    }

    func inspection(_ connection: Connection) -> TableInspection {
        TableInspection(connection: connection, table: database.table)
    }

    /// Adds columns that a table created by another program lacks.
    private func complete(on connection: Connection) throws {
        let table = database.table.quoted
        for (name, type) in Migration.readingColumns where try !inspection(connection).has(column: name, of: table) {
            let column = Migration(
                number: 1, object: .column(name, of: table), subject: "column \(table).\(name)",
                statements: ["ALTER TABLE \(table) ADD COLUMN IF NOT EXISTS \(TableName.quote(name)) \(type)"])
            try addColumn(name, of: table, column, isNew: false, on: connection)
        }
    }

    private func addColumn(
        _ name: String, of table: String, _ migration: Migration, isNew: Bool, on connection: Connection
    ) throws {
        let isThere = try inspection(connection).has(column: name, of: table)
        if isThere, !isNew { return report("\(migration.subject): already exists") }
        try withShortLock(migration.subject, migration.statements, of: table, on: connection)
        report(isThere ? "created \(migration.subject)" : "added \(migration.subject)")
    }

    /// Runs a step that needs the table's lock for a moment. While a statement waits for the lock, all other statements
    /// queue behind it, so the timeout is short.
    func withShortLock(
        _ subject: String, _ statements: [String], of table: String, on connection: Connection
    ) throws {
        for attempt in 1...lockAttempts {
            do {
                return try connection.transaction {
                    _ = try connection.execute("SET LOCAL lock_timeout = \(Int(lockTimeout / .milliseconds(1)))")
                    for statement in statements { _ = try connection.execute(statement) }
                }
            } catch let error as PostgresError where error.sqlState == "55P03" {
                if attempt == 1 { report("\(subject): waiting for a transaction that locks the table") }
                shutdown.pause(.milliseconds(500))
                if shutdown.isRequested { break }
            }
        }
        throw LoaderError.tableLocked(
            table: table, step: "add \(subject)", seconds: lockAttempts * Int(lockTimeout / .seconds(1)))
    }

    private func buildIndex(
        _ name: String, _ column: String, _ migration: Migration, isNew: Bool, on connection: Connection
    ) throws {
        let inspection = inspection(connection)
        let found = try inspection.index(name)
        if let found, found.column != column {
            throw LoaderError.argument(
                "\(migration.subject) exists, but on \(found.column) instead of \(column); rename it, and run this again"
            )
        }
        if found?.isValid == true { return report("\(migration.subject): already exists") }
        if found?.isValid == false {
            try drop(index: name, on: connection)
            report("dropped \(migration.subject), which was invalid after an interrupted build")
        }
        // Building the index can take hours, so a column's wrong type is reported before.
        if !isNew { try ReadingTable(name: database.table).checkColumns(on: connection) }
        if !isNew { report("building \(migration.subject); other writers are not blocked") }
        for statement in migration.statements {
            // A new table has no writers that the build could block.
            let sql = isNew ? statement.removing(" CONCURRENTLY") : statement
            do throws(PostgresError) {
                _ = try connection.execute(sql, timeout: Self.indexTimeout)
            } catch {
                // An invalid index is useless and still slows down every write.
                if connection.isUsable, (try? inspection.index(name))?.isValid == false {
                    try? drop(index: name, on: connection)
                }
                if error.sqlState == "23505" { throw doubledKeys(error) }
                throw error
            }
        }
        guard try inspection.index(name)?.isValid == true else {
            throw LoaderError.argument(
                "\(migration.subject) cannot be created: another object has its name; rename that object, and run this again"
            )
        }
        report("created \(migration.subject)")
    }

    /// The unique index cannot be built because the table has a key more than once.
    func doubledKeys(_ error: PostgresError) -> LoaderError {
        let table = database.table.quoted
        return .unfit(
            table: table, reason: "has rows with the same idempotency_key: \(error)",
            remedy: "keep one of each, as with DELETE FROM \(table) a USING \(table) b "
                + "WHERE a.idempotency_key = b.idempotency_key AND a.ctid > b.ctid; and run this again")
    }

    private func drop(index name: String, on connection: Connection) throws(PostgresError) {
        let schema = try connection.execute(
            """
            SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = to_regclass($1)
            """, [.text(database.table.quoted)])
        let prefix = schema.count > 0 ? (schema[0, 0] ?? "public") + "." : ""
        _ = try connection.execute(
            "DROP INDEX CONCURRENTLY IF EXISTS \(prefix)\(TableName.quote(name))", timeout: Self.indexTimeout)
    }

    /// Runs `body` while no other migrator runs, because an index under construction looks like an invalid leftover.
    ///
    /// A transaction of another connection holds the lock, since a concurrent build cannot run in one. It has no
    /// snapshot, which the build would wait for, and it polls for the same reason.
    private func alone(_ body: () throws -> Void) throws {
        let guardian = try database.connect()
        var isDone = false
        do {
            try guardian.transaction {
                try lock(guardian)
                // Without parameters, it also closes the portal of the statement before, which holds a snapshot.
                _ = try guardian.execute("SET LOCAL idle_in_transaction_session_timeout TO 0")
                try body()
                isDone = true
            }
        } catch  where isDone {
            // The lock has served its purpose, and nothing else was to be committed.
        }
    }

    private func lock(_ connection: Connection) throws {
        for _ in 0..<600 {
            let rows = try connection.execute(
                "SELECT pg_try_advisory_xact_lock(hashtextextended('shelly-loader migrate ' || $1, 0))",
                [.text(database.table.quoted)])
            if rows[0, 0] == "t" { return }
            shutdown.pause(.milliseconds(100))
            if shutdown.isRequested { break }
        }
        throw LoaderError.migrating(table: database.table.quoted)
    }

    /// Checks the table with the planner, so that a problem is reported now and not by `drain`.
    private func check(_ connection: Connection) throws {
        do {
            try ReadingTable(name: database.table).check(on: connection, everywhere: true)
        } catch let error as PostgresError where error.needsMigration {
            throw LoaderError.unsuitable(table: database.table.quoted, error)
        }
        do throws(PostgresError) {
            _ = try ProgressTable(spool: SpoolDirectory.noIdentity, beside: database.table).read(on: connection)
        } catch {
            guard error.needsMigration else { throw error }
            throw LoaderError.argument(
                "table \(database.table.quoted(ProgressTable.name)) exists, but is not the loader's: \(error); rename it, and run this "
                    + "again")
        }
    }
}

extension String {
    func removing(_ word: String) -> String {
        guard let range = firstRange(of: word) else { return self }
        return String(self[..<range.lowerBound] + self[range.upperBound...])
    }
}
