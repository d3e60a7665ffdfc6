import Checkup
import Postgres
import Spool

/// Checks that this role can load readings: the table, its columns, its indexes, the progress, the privileges.
struct TableCheck {
    private let connection: Connection
    private let table: TableName
    private let inspection: TableInspection
    private static let migrate = "run 'shelly-loader migrate'"
    private static let columns = Migration.readingColumns.map(\.0) + ["idempotency_key"]

    init(_ connection: Connection, _ table: TableName) {
        self.connection = connection
        self.table = table
        inspection = TableInspection(connection: connection, table: table)
    }

    func results() -> [CheckResult] {
        do throws(PostgresError) {
            guard try inspection.exists(table.quoted) else {
                return [.fail("table", "\(table.quoted) is missing, or not in the search path", do: Self.migrate)]
            }
            if let incompatibility = try inspection.incompatibility() {
                return [.fail("table", incompatibility, do: "then run 'shelly-loader migrate'")]
            }
            var results = try columns()
            // Without these, the following checks would only report the same problem again.
            guard !results.contains(where: { $0.verdict == .fail }) else { return results }
            let rights = try rights()
            results += rights
            if !rights.contains(where: { $0.verdict == .fail }) { results += try index() }
            return results + (try timestampIndex()) + (try progress())
                + (try ForesightCheck(connection, table).results())
        } catch {
            return [failure("table", error)]
        }
    }

    private func failure(_ subject: String, _ error: PostgresError) -> CheckResult {
        let remedy =
            error.needsMigration
            ? Self.migrate
            : error.sqlState == "42501"
                ? "as the table's owner, GRANT \(role) the missing right"
                : error.isTemporary ? "try again later" : "check the table (\\d in psql)"
        return .fail(subject, "\(error)", do: remedy, isTemporary: error.isTemporary)
    }

    private var role: String { (try? connection.execute("SELECT quote_ident(current_user)")[0, 0]) ?? "the role" }

    private func columns() throws(PostgresError) -> [CheckResult] {
        let types = try inspection.columns()
        let missing = Self.columns.filter { types[$0] == nil }
        guard missing.isEmpty else {
            return [.fail("table", "\(table.quoted) has no \(missing.joined(separator: ", "))", do: Self.migrate)]
        }
        let usual = [
            "device_id": "text", "channel": "integer", "power": "double precision", "voltage": "double precision",
            "current": "double precision", "timestamp": "timestamp with time zone", "idempotency_key": "text",
        ]
        let other = Self.columns.filter { types[$0] != usual[$0] }.map { "\($0) \(types[$0] ?? "")" }
        return [
            .ok(
                "table",
                "\(table.quoted)" + (other.isEmpty ? "" : ", filled by casts: \(other.joined(separator: ", "))"))
        ]
    }

    /// Checks the privileges. A zero-row insert does not check all of them, for example not those on the sequence that
    /// numbers rows.
    private func rights() throws(PostgresError) -> [CheckResult] {
        let names = Self.columns.map { "'\($0)'" }.joined(separator: ", ")
        let rows = try connection.execute(
            """
            SELECT string_agg(grants, '; ' ORDER BY grants) FROM (
                SELECT 'GRANT ' || string_agg(privilege, ', ' ORDER BY privilege) || ' ON ' || $1 || ' TO '
                    || quote_ident(current_user) AS grants
                FROM unnest(ARRAY['INSERT', 'SELECT']) AS privilege
                WHERE EXISTS (SELECT FROM unnest(ARRAY[\(names)]) AS name
                    WHERE NOT has_column_privilege(to_regclass($1), name, privilege))
                UNION ALL
                SELECT 'GRANT USAGE ON SEQUENCE ' || s.oid::regclass || ' TO ' || quote_ident(current_user)
                FROM pg_attrdef a JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
                JOIN pg_class s ON s.oid = d.refobjid
                -- Which is asked first is the planner's choice, and of a table the second question is an error.
                WHERE a.adrelid = to_regclass($1) AND CASE s.relkind
                    WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') AND NOT has_sequence_privilege(s.oid, 'UPDATE')
                    ELSE false END
            ) AS missing
            """, [.text(table.quoted)])
        if let grants = rows[0, 0] {
            return [.fail("table rights", "\(role) may not fill \(table.quoted)", do: "as its owner: \(grants)")]
        }
        let isFiltered = try connection.execute("SELECT row_security_active(to_regclass($1))", [.text(table.quoted)])
        if isFiltered[0, 0] == "t" {
            return [
                .warn(
                    "table rights", "row-level security of \(table.quoted) applies to \(role)",
                    do: "make sure that its policies let \(role) insert and see every row")
            ]
        }
        return [.ok("table rights", "\(role) may insert and select")]
    }

    /// Runs the statement that `drain` uses. It decides; the list of indexes only explains a failure.
    private func index() throws(PostgresError) -> [CheckResult] {
        let found = try inspection.indexes().filter { $0.column == "idempotency_key" }
        do {
            try connection.transactionThatChangesNothing {
                try ReadingTable(name: table).check(on: connection, everywhere: true)
            }
        } catch let error as PostgresError where error.sqlState == "42P10" {
            return [explain(found)]
        } catch let error as PostgresError {
            return [failure("table", error)]
        } catch LoaderError.unfit(_, let reason, let remedy) {
            return [.fail("table", "\(table.quoted) \(reason)", do: remedy)]
        } catch {
            return [.fail("table", "\(error)", do: "look at the table (\\d in psql)")]
        }
        if try inspection.isPartitioned { return [.ok("unique index", "on idempotency_key in each partition")] }
        let names = found.filter { $0.isUnique && $0.isValid }.map(\.name)
        return [.ok("unique index", "\(names.joined(separator: ", ")) on idempotency_key")]
    }

    private func explain(_ found: [TableInspection.Index]) -> CheckResult {
        let subject = "unique index"
        guard !found.isEmpty else { return .fail(subject, "there is none on idempotency_key", do: Self.migrate) }
        let faults = found.map { index in
            var faults: [String] = []
            if !index.isValid { faults.append("is invalid, because its build was interrupted") }
            if !index.isUnique { faults.append("is not unique") }
            if let predicate = index.predicate, predicate != "(idempotency_key IS NOT NULL)" {
                faults.append("has the predicate \(predicate)")
            }
            if faults.isEmpty { faults.append("is on more than idempotency_key") }
            return "\(index.name) \(faults.joined(separator: " and "))"
        }
        // `migrate` rebuilds an index that is only invalid.
        let wrong = found.filter { $0.isValid }.map { "DROP INDEX \(TableName.quote($0.name))" }
        return .fail(
            subject,
            "none fits ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL: "
                + faults.joined(separator: ", "),
            do: wrong.isEmpty ? Self.migrate : "\(wrong.joined(separator: "; ")), and \(Self.migrate)")
    }

    private func timestampIndex() throws(PostgresError) -> [CheckResult] {
        let found = try inspection.indexes().contains { $0.column == "timestamp" && $0.isValid && $0.predicate == nil }
        if found { return [] }
        return [
            .warn("index", "there is none on timestamp: statistics read the whole table", do: Self.migrate)
        ]
    }

    /// The tables beside the readings': one for the progress, one for the lease.
    private func progress() throws(PostgresError) -> [CheckResult] {
        let names = [table.quoted(ProgressTable.name), table.quoted(SpoolLease.name)]
        do throws(PostgresError) {
            _ = try ProgressTable(spool: SpoolDirectory.noIdentity, beside: table).read(on: connection)
            _ = try connection.execute("SELECT spool, holder, renewed_at FROM \(names[1]) WHERE false")
        } catch {
            guard error.sqlState == "42501" else { return [failure("progress", error)] }
        }
        var results: [CheckResult] = []
        for name in names {
            let rows = try connection.execute(
                """
                SELECT string_agg(p, ', ' ORDER BY p) FROM unnest(ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']) AS p
                WHERE NOT has_table_privilege(to_regclass($1), p)
                """, [.text(name)])
            guard let missing = rows[0, 0] else { continue }
            results.append(
                .fail(
                    "progress", "\(role) may not write the progress to \(name)",
                    do: "as its owner: GRANT \(missing) ON \(name) TO \(role)"))
        }
        return results.isEmpty ? [.ok("progress", names.joined(separator: ", "))] : results
    }
}

extension Connection {
    /// Runs `body` in a transaction that is always rolled back.
    fileprivate func transactionThatChangesNothing(_ body: () throws -> Void) throws {
        _ = try execute("BEGIN")
        defer { _ = try? execute("ROLLBACK") }
        try body()
    }
}
