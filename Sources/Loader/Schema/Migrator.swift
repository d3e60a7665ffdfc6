import Postgres
import Spool

/// Brings the schema from whatever is there to what `drain` needs, and says what it did.
///
/// Every step is looked for before it is done, so that a second run changes nothing. On a table that others write to
/// nothing waits for long with a lock in hand: a column is added within a short lock time-out, again and again, and
/// indexes are built concurrently.
struct Migrator {
    let database: Database
    /// Where a line a step goes.
    let say: (String) -> Void
    /// How long one attempt to add a column may hold up writers that come behind it.
    var lockTimeout = Duration.seconds(2)
    var lockAttempts = 15
    let interruption: Interruption

    /// Building an index may take hours; what bounds it is the operator's patience.
    private static let indexTimeout = Duration.seconds(7 * 86_400)

    /// The whole schema as SQL that can be run again and again, `psql` included.
    static func sql(for table: TableName) -> String {
        Migration.all(for: table).map { migration in
            "-- \(migration.number): \(migration.subject)\n" + migration.statements.map { $0 + ";\n" }.joined()
        }.joined(separator: "\n")
    }

    func run() throws {
        let connection = try database.connect()
        // Each statement has its own patience here, see `indexTimeout`.
        _ = try connection.execute("SET statement_timeout TO 0")
        try lock(connection)
        let table = database.table
        let isNew = try !inspection(connection).exists(table.quoted)
        for migration in Migration.all(for: table) {
            switch migration.object {
            case .table:
                if !isNew { try requireTable(on: connection) }
                try create(migration, isThere: !isNew, on: connection) { try forgetProgress(on: connection) }
                if !isNew { try complete(on: connection) }
            case .progressTable:
                let name = table.quoted(ProgressTable.name)
                try create(migration, isThere: try inspection(connection).exists(name), on: connection)
            case .column(let name, let table):
                try addColumn(name, of: table, migration, isNew: isNew, on: connection)
            case .index(let name, let column):
                try buildIndex(name, column, migration, isNew: isNew, on: connection)
            }
        }
        try check(connection)
    }

    private func create(
        _ migration: Migration, isThere: Bool, on connection: Connection, also: () throws -> Void = {}
    ) throws {
        guard !isThere else { return say("\(migration.subject): already there") }
        try connection.transaction {
            for statement in migration.statements { _ = try connection.execute(statement) }
            try also()
        }
        say("created \(migration.subject)")
    }

    /// Progress that outlived its rows, as when somebody dropped their table, would keep them from coming again
    /// (invariant 6).
    private func forgetProgress(on connection: Connection) throws {
        let progress = database.table.quoted(ProgressTable.name)
        guard try inspection(connection).exists(progress) else { return }
        let forgotten = try connection.execute("DELETE FROM \(progress)").affected
        if forgotten > 0 { say("forgot the progress of \(forgotten) segments, whose rows are gone with their table") }
    }

    private func requireTable(on connection: Connection) throws {
        if let objection = try inspection(connection).objection() { throw LoaderError.argument(objection) }
    }

    private func inspection(_ connection: Connection) -> TableInspection {
        TableInspection(connection: connection, table: database.table)
    }

    /// Adds columns that another writer's table lacks.
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
        if isThere, !isNew { return say("\(migration.subject): already there") }
        for attempt in 1...lockAttempts {
            do {
                try connection.transaction {
                    // While we queue for the table's lock everyone else queues behind us, so not for long.
                    _ = try connection.execute("SET LOCAL lock_timeout = \(Int(lockTimeout / .milliseconds(1)))")
                    for statement in migration.statements { _ = try connection.execute(statement) }
                }
                return say(isThere ? "created \(migration.subject)" : "added \(migration.subject)")
            } catch let error as PostgresError where error.sqlState == "55P03" {
                if attempt == 1 { say("\(migration.subject): the table is locked by another transaction, waiting") }
                interruption.pause(.milliseconds(500))
                if interruption.isRequested { break }
            }
        }
        throw LoaderError.tableLocked(
            table: table, step: "add \(migration.subject)",
            seconds: lockAttempts * Int(lockTimeout / .seconds(1)))
    }

    private func buildIndex(
        _ name: String, _ column: String, _ migration: Migration, isNew: Bool, on connection: Connection
    ) throws {
        let inspection = inspection(connection)
        let found = try inspection.index(name)
        if let found, found.column != column {
            throw LoaderError.argument(
                "\(migration.subject) is there, but on \(found.column) rather than \(column); rename it, and run this again"
            )
        }
        if found?.isValid == true { return say("\(migration.subject): already there") }
        if found?.isValid == false {
            try drop(index: name, on: connection)
            say("dropped \(migration.subject), which an interrupted build had left invalid")
        }
        if !isNew { say("building \(migration.subject); writers go on meanwhile") }
        for statement in migration.statements {
            // Nobody can be kept waiting by a table that was made a moment ago.
            let sql = isNew ? statement.removing(" CONCURRENTLY") : statement
            do throws(PostgresError) {
                _ = try connection.execute(sql, timeout: Self.indexTimeout)
            } catch {
                // An invalid index is of no use to anyone and still costs every writer.
                if connection.isUsable, (try? inspection.index(name))?.isValid == false {
                    try? drop(index: name, on: connection)
                }
                throw error
            }
        }
        guard try inspection.index(name)?.isValid == true else {
            throw LoaderError.argument(
                "\(migration.subject) cannot be made: its name is taken by something else; rename that, and run this again"
            )
        }
        say("created \(migration.subject)")
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

    /// One migrator at a time: an index that another one is building looks like an invalid leftover.
    ///
    /// Asked for again and again, since a session that waits in a statement would hold up a concurrent build.
    private func lock(_ connection: Connection) throws {
        for _ in 0..<600 {
            let rows = try connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended('shelly-loader migrate ' || $1, 0))",
                [.text(database.table.quoted)])
            if rows[0, 0] == "t" { return }
            interruption.pause(.milliseconds(100))
            if interruption.isRequested { break }
        }
        throw LoaderError.migrating(table: database.table.quoted)
    }

    /// Asks the planner whether the table will do, so that what is wrong is said now and not by `drain`.
    private func check(_ connection: Connection) throws {
        do throws(PostgresError) {
            try ReadingTable(name: database.table).check(on: connection)
        } catch {
            guard error.needsMigration else { throw error }
            throw LoaderError.unsuitable(table: database.table.quoted, error)
        }
        do throws(PostgresError) {
            _ = try ProgressTable(spool: SpoolDirectory.noIdentity, beside: database.table).read(on: connection)
        } catch {
            guard error.needsMigration else { throw error }
            throw LoaderError.argument(
                "table \(database.table.quoted(ProgressTable.name)) is there, but is not ours: \(error); rename it, and run this "
                    + "again")
        }
    }
}

extension String {
    fileprivate func removing(_ word: String) -> String {
        guard let range = firstRange(of: word) else { return self }
        return String(self[..<range.lowerBound] + self[range.upperBound...])
    }
}
